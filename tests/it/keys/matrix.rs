//! Every operation of the document, asked for by everybody: the role it names is the role it needs.

use http::Method;
use serde_json::Value;
use uuid::Uuid;

use super::*;

on_both!(every_operation_lets_in_whom_the_document_says);

const ROLES: [&str; 4] = ["any", "viewer", "operator", "admin"];

/// One operation, as far as it concerns who may use it.
struct Operation {
    id: String,
    method: Method,
    path: String,
    /// The position in [`ROLES`]; `None` for everybody.
    needs: Option<usize>,
    has_body: bool,
}

async fn every_operation_lets_in_whom_the_document_says(setup: Setup) {
    let (app, admin) = started(setup).await;
    let document = app.anonymous().get("/openapi.json").await.json();
    let operations: Vec<Operation> = operations(&document).collect();
    assert!(operations.len() > 30, "only {} operations", operations.len());
    let mut programs = Vec::new();
    for role in ["none", "viewer", "operator", "admin"] {
        programs.push(Program::new(&admin, &format!("{role}-program"), role).await);
    }
    let mut people = Vec::new();
    for role in &ROLES[1..] {
        people.push(person(&admin, role).await);
    }
    let nobody = app.anonymous();
    let forged = nobody.bearer("eyJhbGciOiJub25lIn0.eyJpc3MiOiJsZXZlZSJ9.");
    let mut wrong = Vec::new();
    for operation in &operations {
        let mut judge = async |who: &str, api: &Api, rank: Option<usize>| {
            let expected = match (operation.needs, rank) {
                (None, _) => None,
                (Some(_), None) => Some(401),
                (Some(needs), Some(rank)) => (rank < needs).then_some(403),
            };
            let status = operation.ask(api).await;
            let refused = matches!(status, 401 | 403).then_some(status);
            // A service account has no password of its own to change.
            let out_of_place = operation.id == "change_password" && who.ends_with("program");
            if refused != expected && !out_of_place {
                wrong.push(format!("{} as {who}: {status}", operation.id));
            }
        };
        judge("anonymous", &nobody, None).await;
        judge("forged token", &forged, None).await;
        for (rank, program) in programs.iter().enumerate() {
            judge(&format!("{} program", ROLES[rank]), &program.api, Some(rank)).await;
        }
        for (rank, person) in people.iter().enumerate() {
            judge(&format!("{} user", ROLES[rank + 1]), person, Some(rank + 1)).await;
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

async fn person(admin: &Api, role: &str) -> Api {
    let (email, password) = (format!("{role}@example.com"), "the rain in Spain, mostly");
    let body = json!({ "email": email, "name": role, "role": role, "password": password });
    let made = admin.post("/api/v1/users", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    admin.sign_in(&email, password).await
}

fn operations(document: &Value) -> impl Iterator<Item = Operation> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.filter(|(method, _)| *method != "parameters").map(|(method, operation)| {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let role = operation["x-levee-role"].as_str();
            let public = operation["security"].as_array().is_some_and(Vec::is_empty);
            assert_eq!(role.is_none(), public, "{id} names no role, or one that nobody needs");
            let needs = role.map(|role| {
                ROLES.iter().position(|known| *known == role).unwrap_or_else(|| panic!("{id} needs {role}"))
            });
            Operation {
                id,
                method: method.to_uppercase().parse().unwrap(),
                path: filled(path),
                needs,
                has_body: operation.get("requestBody").is_some(),
            }
        })
    })
}

/// Nothing has these names, so that asking changes nothing.
fn filled(template: &str) -> String {
    let id = Uuid::now_v7().to_string();
    let pieces = template.split('/').map(|piece| match piece {
        "{id}" | "{key}" => id.as_str(),
        piece if piece.starts_with('{') => "no-such-name",
        piece => piece,
    });
    pieces.collect::<Vec<_>>().join("/")
}

impl Operation {
    async fn ask(&self, api: &Api) -> u16 {
        let body = self.has_body.then(|| "{}".to_owned());
        api.send(self.method.clone(), &self.path, body, Some("*")).await.status.as_u16()
    }
}
