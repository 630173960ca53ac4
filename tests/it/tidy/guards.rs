//! The second guard: a service's method that is told who asks has to ask what that one may.

/// What asks: the guard itself, or a method of the same service that does.
const ASKS: [&str; 3] = ["demand(principal, Role::", "self.key(principal,", "self.get(principal,"];

/// What everybody who signed in may do for itself, and the counting of requests, whoever makes them.
const OWN: [&str; 2] = ["change_password", "principal"];

/// The public methods of a file that take a principal and ask nothing of it.
pub(super) fn unguarded(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let methods = code.split("\n    pub ").skip(1).filter_map(|method| {
        let method = method.strip_prefix("async ").unwrap_or(method).strip_prefix("fn ")?;
        let (name, rest) = method.split_once('(')?;
        // A method ends where its block does, four spaces in.
        let body = rest.split("\n    }\n").next().unwrap_or(rest);
        Some((name.split('<').next().unwrap_or(name), body))
    });
    methods
        .filter(|(name, body)| body.contains("principal: &Principal") && !OWN.contains(name))
        .filter(|(_, body)| !ASKS.iter().any(|asks| body.contains(asks)))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn a_method_that_asks_nothing_is_found() {
    let source = "impl Service {\n    pub async fn good(&self, principal: &Principal) {\n        demand(principal, \
                  Role::Admin)?;\n    }\n\n    pub fn bad(&self, principal: &Principal) {\n        self.store.all()\n    \
                  }\n\n    pub fn other(&self) {\n    }\n}\n";
    assert_eq!(unguarded(source), ["bad"]);
}
