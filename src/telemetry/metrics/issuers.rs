//! Issuers of foreign tokens: how often their keys were asked for, and which ones there are.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use parking_lot::Mutex;
use prometheus::proto::MetricFamily;

use super::counts::Counts;
use super::families::{ISSUER_FETCHES, ISSUER_KEYS, ISSUER_KEYS_FETCHED};
use super::labels::{Label, label};
use super::readings::IssuerReading;

label! {
    /// How asking an issuer for its keys went.
    pub enum IssuerFetch {
        /// Keys came.
        Ok = "ok",
        /// None came.
        Failed = "failed",
    }
}

/// Fetches of each issuer. Their names are spelled in the code, so they are few.
#[derive(Debug, Default)]
pub(super) struct Issuers {
    fetches: Mutex<BTreeMap<&'static str, Counts<IssuerFetch>>>,
}

impl Issuers {
    pub(super) fn fetched(&self, issuer: &'static str, result: IssuerFetch) {
        self.fetches.lock().entry(issuer).or_default().add(result);
    }

    pub(super) fn collect(&self, readings: &[IssuerReading]) -> [MetricFamily; 3] {
        let mut asked = ISSUER_FETCHES.open();
        for (issuer, counts) in &*self.fetches.lock() {
            asked.counts(&[issuer], counts);
        }
        let (mut keys, mut fetched) = (ISSUER_KEYS.open(), ISSUER_KEYS_FETCHED.open());
        for issuer in readings {
            let at = issuer.fetched.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            keys.gauge(&[issuer.name], issuer.keys as f64);
            fetched.gauge(&[issuer.name], at.as_secs_f64());
        }
        [asked.close(), keys.close(), fetched.close()]
    }
}
