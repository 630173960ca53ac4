// The scenario, by the client that openapi-generator makes for Go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"

	"scenario/levee"
)

var name = "client-" + os.Getenv("SCENARIO")

// spec is a document that only our account may call.
func spec() levee.UpstreamSpec {
	spec := *levee.NewUpstreamSpec(os.Getenv("LEVEE_FLAKY_URL"))
	spec.Access = &levee.AccessPolicy{Allow: []string{"sa:" + name}}
	return spec
}

func main() {
	configuration := levee.NewConfiguration()
	configuration.Servers = levee.ServerConfigurations{{URL: os.Getenv("LEVEE_URL")}}
	client := levee.NewAPIClient(configuration)
	anonymous := context.Background()

	login := *levee.NewLogin(os.Getenv("LEVEE_EMAIL"), os.Getenv("LEVEE_PASSWORD"))
	first := got(client.AuthAPI.Login(anonymous).Login(login).Execute())
	tokens := got(client.AuthAPI.Refresh(anonymous).Refresh(*levee.NewRefresh(first.RefreshToken)).Execute())
	assert(tokens.RefreshToken != first.RefreshToken, "the refresh token was not rotated")
	signedIn := context.WithValue(anonymous, levee.ContextAccessToken, tokens.AccessToken)
	me := got(client.AuthAPI.GetMe(signedIn).Execute())
	assert(me.Name == os.Getenv("LEVEE_EMAIL"), "I am ", me.Name)

	accounts := client.ServiceAccountsAPI
	account := got(accounts.CreateServiceAccount(signedIn).ServiceAccountCreation(*levee.NewServiceAccountCreation(name, levee.CLASS_NORMAL)).Execute())
	key := got(accounts.CreateApiKey(signedIn, account.Id).ApiKeyCreation(*levee.NewApiKeyCreation("scenario")).Execute()).Key

	upstreams := client.UpstreamsAPI
	_, answer, err := upstreams.CreateUpstream(signedIn).UpstreamCreation(*levee.NewUpstreamCreation(name, spec())).Execute()
	check(err)
	assert(answer.StatusCode == 201, "created with ", answer.StatusCode)
	assert(answer.Header.Get("Location") == "/api/v1/upstreams/"+name, "it is at ", answer.Header.Get("Location"))
	expectCall(key, "", 200)
	expectCall("", "", 401, 403)

	read, answer, err := upstreams.GetUpstream(signedIn, name).Execute()
	check(err)
	stale := answer.Header.Get("ETag")
	document, size := spec(), "1MiB"
	document.Owner = levee.PtrString("go")
	document.Retry = &levee.RetryPolicy{Attempts: levee.PtrInt32(2), On: []string{"reset"}}
	document.Limits = &levee.LimitsPolicy{Request: &levee.Size{String: &size}}
	changed := *levee.NewUpstreamChange(document)
	replace := upstreams.ReplaceUpstream(signedIn, name).IfMatch(stale).UpstreamChange(changed)
	replaced := got(replace.Execute())
	assert(replaced.Spec["owner"] == "go" && *replaced.Revision > *read.Revision, "replaced: ", replaced)
	_, _, err = replace.Execute()
	assert(problem(err).Status == 412, "a stale tag was taken")

	wrong := spec()
	wrong.Timeout = &levee.TimeoutPolicy{Total: levee.PtrString("1s"), Attempt: levee.PtrString("2s")}
	_, _, err = upstreams.CreateUpstream(signedIn).UpstreamCreation(*levee.NewUpstreamCreation(name+"-2", wrong)).Execute()
	refused := problem(err)
	assert(refused.Status == 400 && len(refused.Errors) == 1, "refused: ", refused)
	assert(refused.Errors[0].Pointer == "/spec/timeout/attempt", "it points to ", refused.Errors[0].Pointer)

	names := allUpstreams(signedIn, client)
	assert(len(names) > 1 && slices.Contains(names, name), "upstreams: ", names)

	set := func(mode levee.BreakerMode) {
		setting := *levee.NewBreakerDecision(mode, "the scenario")
		got(client.BreakersAPI.SetBreaker(signedIn, name).BreakerDecision(setting).Execute())
	}
	set(levee.BREAKERMODE_FORCED_OPEN)
	expectCall(key, "circuit-open", 503)
	set(levee.BREAKERMODE_AUTO)
	expectCall(key, "", 200)

	_, answer, err = upstreams.GetUpstream(signedIn, name).Execute()
	check(err)
	answer, err = upstreams.DeleteUpstream(signedIn, name).IfMatch(answer.Header.Get("ETag")).Execute()
	check(err)
	assert(answer.StatusCode == 204, "deleted with ", answer.StatusCode)
	_, err = accounts.DeleteServiceAccount(signedIn, account.Id).IfMatch("*").Execute()
	check(err)
	expectCall(key, "unauthorized", 401)
	last := *levee.NewRefresh(tokens.RefreshToken)
	_, err = client.AuthAPI.Logout(signedIn).Refresh(last).Execute()
	check(err)
	_, _, err = client.AuthAPI.Refresh(anonymous).Refresh(last).Execute()
	assert(problem(err).Status == 401, "the session goes on after logout")
}

func allUpstreams(signedIn context.Context, client *levee.APIClient) []string {
	var names []string
	list := client.UpstreamsAPI.ListUpstreams(signedIn).Limit(1)
	for {
		page := got(list.Execute())
		for _, upstream := range page.Items {
			names = append(names, upstream.Name)
		}
		if page.Next == nil {
			return names
		}
		list = list.Cursor(*page.Next)
	}
}

// expectCall calls through the data plane, and compares the status and, when Levee refused it, the problem's type.
func expectCall(key, problemType string, statuses ...int) {
	request, err := http.NewRequest("GET", os.Getenv("LEVEE_CALLS_URL")+"/proxy/"+name+"/hello", nil)
	check(err)
	if key != "" {
		request.Header.Set("Levee-Key", key)
	}
	answer, err := http.DefaultClient.Do(request)
	check(err)
	defer answer.Body.Close()
	assert(slices.Contains(statuses, answer.StatusCode), "a call was answered with ", answer.StatusCode)
	if problemType != "" {
		text, err := io.ReadAll(answer.Body)
		check(err)
		var problem levee.Problem
		check(json.Unmarshal(text, &problem))
		assert(path.Base(problem.Type) == problemType, "a call was refused as ", problem.Type)
	}
}

// problem is what an operation was refused with.
func problem(err error) levee.Problem {
	var refused *levee.GenericOpenAPIError
	assert(errors.As(err, &refused), "it was not refused: ", err)
	problem, typed := refused.Model().(levee.Problem)
	assert(typed, "it was refused without a problem: ", string(refused.Body()))
	return problem
}

func got[T any](value T, _ *http.Response, err error) T {
	check(err)
	return value
}

func check(err error) {
	if refused := (*levee.GenericOpenAPIError)(nil); errors.As(err, &refused) {
		panic(fmt.Sprintf("%v: %s", err, refused.Body()))
	} else if err != nil {
		panic(err)
	}
}

func assert(holds bool, message ...any) {
	if !holds {
		panic(fmt.Sprint(message...))
	}
}
