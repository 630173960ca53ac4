//! What the code asks of the API server: the one table that the chart's roles are compared with.

use serde_json::{Value, json};

/// Where a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// In each namespace whose Upstreams count, or in the whole cluster.
    Watched,
    /// In Levee's own namespace.
    Own,
    /// In Levee's own namespace and in those whose Secrets may be read.
    SecretNamespaces,
}

impl Where {
    /// As the golden file has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Watched => "watched_namespaces",
            Self::Own => "own_namespace",
            Self::SecretNamespaces => "secret_namespaces",
        }
    }
}

/// One rule, as a Role has it.
#[derive(Debug, Clone, Copy)]
pub struct Right {
    /// `""` is the core group.
    pub group: &'static str,
    /// Plural, with the subresource.
    pub resource: &'static str,
    /// In the order of the alphabet.
    pub verbs: &'static [&'static str],
    /// Where.
    pub place: Where,
    /// What for.
    pub reason: &'static str,
}

/// Every right there is need of, and no other.
pub const RIGHTS: [Right; 5] = [
    Right {
        group: super::definition::GROUP,
        resource: super::definition::PLURAL,
        verbs: &["list", "watch"],
        place: Where::Watched,
        reason: "upstreams are what Levee serves",
    },
    Right {
        group: super::definition::GROUP,
        resource: "upstreams/status",
        verbs: &["patch"],
        place: Where::Watched,
        reason: "the leader answers in their status",
    },
    Right {
        group: "",
        resource: "events",
        verbs: &["create", "patch"],
        place: Where::Watched,
        reason: "the leader tells what happened to an Upstream",
    },
    Right {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["create", "get", "update"],
        place: Where::Own,
        reason: "replicas agree on a leader; the Lease is called levee",
    },
    Right {
        group: "",
        resource: "secrets",
        verbs: &["list", "watch"],
        place: Where::SecretNamespaces,
        reason: "credentials that an Upstream's secretRef names; only ever asked for by name",
    },
];

/// As the golden file has them.
pub fn to_json() -> Value {
    let one = |right: &Right| {
        json!({
            "apiGroup": right.group,
            "resource": right.resource,
            "verbs": right.verbs,
            "where": right.place.as_str(),
            "reason": right.reason,
        })
    };
    json!({ "rights": RIGHTS.iter().map(one).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_table_is_what_the_code_says() {
        let said = serde_json::to_string_pretty(&to_json()).unwrap() + "\n";
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/helm/rights.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/helm")).unwrap();
            std::fs::write(file, &said).unwrap();
        }
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(committed == said, "helm/rights.json is out of date: run make update");
    }

    #[test]
    fn verbs_stand_in_the_order_of_the_alphabet() {
        assert!(RIGHTS.iter().all(|right| right.verbs.is_sorted()));
    }
}
