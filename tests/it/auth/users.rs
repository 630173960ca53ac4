//! Users over the API: for admins alone, with every fault named, and never without an admin.

use http::Method;
use serde_json::json;

use super::{PASSWORD, create, on_both, pointers, signed_in, started, text};
use crate::support::levee::{Setup, TestApp};

on_both!(
    a_user_is_created_read_changed_and_deleted,
    an_address_is_unique_whatever_its_case,
    the_last_admin_stays,
    a_list_goes_on_where_the_page_before_ended,
    every_fault_of_a_new_user_is_named,
    whoever_is_no_admin_is_refused,
);

async fn a_user_is_created_read_changed_and_deleted(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let body = json!({ "email": "Ada@example.com", "name": "Ada", "password": PASSWORD, "role": "viewer" });
    let created = admin.post("/api/v1/users", body).await;
    let path = created.header("location").to_owned();
    assert_eq!((created.status.as_u16(), created.header("etag")), (201, "\"1\""), "{}", created.text());
    let read = admin.get(&path).await;
    let mut made = created.json();
    assert!(made["revision"].take().is_u64(), "a write says which revision it made: {}", created.text());
    made.as_object_mut().unwrap().remove("revision");
    assert_eq!((read.json(), read.header("etag")), (made, "\"1\""));
    let fields: Vec<_> = read.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        fields,
        ["id", "email", "name", "role", "disabled", "createdAt", "updatedAt", "version"],
        "never a hash"
    );

    let change = json!({ "name": "Ada Lovelace", "role": "operator" });
    let send = async |tag: &str| admin.change(Method::PATCH, &path, tag, Some(change.clone())).await;
    let missing = admin.send(Method::PATCH, &path, Some(change.to_string()), None).await;
    assert_eq!(missing.status, 428);
    let changed = send("\"1\"").await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, "\"2\""), "{}", changed.text());
    assert_eq!((text(&changed.json(), "name"), text(&changed.json(), "role")), ("Ada Lovelace", "operator"));
    assert_eq!(send("\"1\"").await.status, 412, "somebody was faster");

    assert_eq!(admin.send(Method::DELETE, &path, None, None).await.status, 428);
    assert_eq!(admin.change(Method::DELETE, &path, "\"1\"", None).await.status, 412);
    assert_eq!(admin.change(Method::DELETE, &path, "\"2\"", None).await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
    assert_eq!(admin.change(Method::DELETE, &path, "*", None).await.status, 404);
}

async fn an_address_is_unique_whatever_its_case(setup: Setup) {
    let (_app, admin) = started(setup).await;
    create(&admin, "ada", "viewer").await;
    let body = json!({ "email": "ADA@EXAMPLE.COM", "name": "Another", "role": "viewer" });
    let taken = admin.post("/api/v1/users", body).await;
    assert_eq!((taken.status.as_u16(), text(&taken.json(), "title")), (409, "It contradicts what is there"));
    assert_eq!(admin.get("/api/v1/users").await.json()["items"].as_array().unwrap().len(), 2);
}

async fn the_last_admin_stays(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let me = admin.get("/api/v1/auth/me").await.json();
    let path = format!("/api/v1/users/{}", text(&me, "id"));
    for change in [json!({ "role": "operator" }), json!({ "disabled": true })] {
        assert_eq!(admin.change(Method::PATCH, &path, "*", Some(change)).await.status, 409);
    }
    assert_eq!(admin.change(Method::DELETE, &path, "*", None).await.status, 409);
    let ada = create(&admin, "ada", "admin").await;
    assert_eq!(admin.change(Method::PATCH, &path, "*", Some(json!({ "name": "I" }))).await.status, 200);
    assert_eq!(ada.update(&admin, json!({ "disabled": true })).await.status, 200);
    assert_eq!(admin.change(Method::DELETE, &path, "*", None).await.status, 409, "a disabled admin is none");
}

async fn a_list_goes_on_where_the_page_before_ended(setup: Setup) {
    let (_app, admin) = started(setup).await;
    for (name, role) in [("ada", "viewer"), ("grace", "operator"), ("mary", "viewer"), ("joan", "viewer")] {
        create(&admin, name, role).await;
    }
    let list = async |query: String| {
        let page = admin.get(&format!("/api/v1/users{query}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        let names = page["items"].as_array().unwrap().iter().map(|user| text(user, "name").to_owned());
        (names.collect::<Vec<_>>(), page["next"].as_str().map(str::to_owned))
    };
    let (first, next) = list("?limit=2".to_owned()).await;
    let (second, next) = list(format!("?limit=2&cursor={}", next.unwrap())).await;
    let (third, end) = list(format!("?limit=2&cursor={}", next.unwrap())).await;
    assert_eq!([first, second, third].concat(), ["Admin", "ada", "grace", "mary", "joan"]);
    assert_eq!(end, None);
    assert_eq!(list("?role=operator".to_owned()).await.0, ["grace"]);
    assert_eq!(list("?search=MARY@".to_owned()).await.0, ["mary"]);
    assert_eq!(list("?disabled=true".to_owned()).await.0, Vec::<String>::new());
    for (query, parameter) in [("?cursor=x", "cursor"), ("?limit=0", "limit"), ("?role=root", "role")] {
        let refused = admin.get(&format!("/api/v1/users{query}")).await;
        assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec![parameter.to_owned()]));
    }
}

async fn every_fault_of_a_new_user_is_named(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let body = json!({ "email": "nobody", "name": " ", "password": "qwerty123456789", "role": "viewer" });
    let refused = admin.post("/api/v1/users", body).await;
    assert_eq!(
        (refused.status.as_u16(), pointers(&refused)),
        (400, ["/email", "/name", "/password"].map(str::to_owned).to_vec())
    );
    assert!(!refused.text().contains("qwerty123456789"));
    for (name, value) in
        [("epoch", json!(7)), ("disabled", json!(false)), ("passwordHash", json!("$argon2id$"))]
    {
        let mut body = json!({ "email": "ada@example.com", "name": "Ada", "role": "viewer" });
        body[name] = value;
        let refused = admin.post("/api/v1/users", body).await;
        assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec![format!("/{name}")]));
    }
    let ada = create(&admin, "ada", "viewer").await;
    for change in [
        json!({ "email": "eve@example.com" }),
        json!({ "epoch": 0 }),
        json!({ "name": "" }),
        json!({ "role": "root" }),
    ] {
        assert_eq!(ada.update(&admin, change.clone()).await.status, 400, "{change}");
    }
    let read = admin.get(&ada.path()).await;
    assert_eq!(read.header("etag"), ada.tag, "nothing was stored");
}

async fn whoever_is_no_admin_is_refused(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let grace = create(&admin, "grace", "operator").await;
    for (api, expected) in [
        (app.anonymous(), 401),
        (app.anonymous().bearer("nonsense"), 401),
        (signed_in(&app, &ada).await.0, 403),
        (signed_in(&app, &grace).await.0, 403),
    ] {
        let new = json!({ "email": "eve@example.com", "name": "Eve", "role": "admin" });
        let promoted = Some(json!({ "role": "admin" }));
        for answer in [
            api.get("/api/v1/users").await,
            api.get(&ada.path()).await,
            api.post("/api/v1/users", new).await,
            api.change(Method::PATCH, &ada.path(), "*", promoted).await,
            api.change(Method::DELETE, &ada.path(), "*", None).await,
        ] {
            assert_eq!(answer.status, expected, "{}", answer.text());
        }
    }
    assert_eq!(admin.get(&ada.path()).await.header("etag"), ada.tag);
}

#[tokio::test]
async fn nobody_has_an_identifier_that_is_none() {
    let app = TestApp::start("").await;
    let admin = app.admin().await;
    for (id, status) in [("seven", 400), ("%00", 400), ("00000000-0000-0000-0000-000000000000", 404)] {
        assert_eq!(admin.get(&format!("/api/v1/users/{id}")).await.status, status, "{id}");
    }
}
