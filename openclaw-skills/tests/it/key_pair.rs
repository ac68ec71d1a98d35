//! Certificates by reference: a pair that belongs together, also while it is rotated.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_core::{ErrorKind, Result};
use openclaw_skills::{
    api::Credential,
    secrets::{EnvSecrets, KeyPair, SecretRef, SecretSource, Secrets},
};
use tokio::time::advance;

fn pem(label: &str, body: &str) -> String {
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// Variables that somebody rotates.
#[derive(Clone, Default)]
struct Vault(Arc<Mutex<BTreeMap<String, String>>>);

impl Vault {
    fn put(&self, name: &str, text: String) {
        self.0.lock().expect("not poisoned").insert(name.to_owned(), text);
    }

    fn secrets(&self) -> Secrets {
        let known = Arc::clone(&self.0);
        let env = EnvSecrets::of(move |name| known.lock().ok()?.get(name).cloned());
        let secrets = Secrets::builder().provider(SecretSource::Env, "default", env);
        secrets.build().expect("names")
    }
}

fn name(text: &str) -> SecretRef {
    SecretRef::env(text).expect("a name")
}

async fn read(pair: &KeyPair) -> Result<(String, String), ErrorKind> {
    let read = pair.read().await;
    read.map(|(chain, key)| (chain.to_string(), key.expose().to_owned())).map_err(|e| {
        assert!(!format!("{e} {e:?} {pair:?}").contains("s3cret"), "{e:?}");
        e.kind()
    })
}

#[tokio::test(start_paused = true)]
async fn a_bundle_is_taken_apart() {
    let vault = Vault::default();
    let pair = KeyPair::bundle(vault.secrets(), name("BOTH"));
    let (own, above) = (pem("CERTIFICATE", "own"), pem("CERTIFICATE", "above"));
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let key = pem(label, "s3cret");
        vault.put("BOTH", format!("a comment\n{key}\n{own}{above}"));
        pair.refused();
        assert_eq!(read(&pair).await, Ok((format!("{own}{above}"), key)));
    }
    let key = pem("PRIVATE KEY", "s3cret");
    for odd in [
        own.clone(),
        key.clone(),
        format!("{own}{key}{key}"),
        "s3cret".to_owned(),
        "-----BEGIN CERTIFICATE-----\ns3cret".to_owned(),
        "-----BEGIN s3cret".to_owned(),
    ] {
        vault.put("BOTH", odd.clone());
        pair.refused();
        assert_eq!(read(&pair).await, Err(ErrorKind::ValidationError), "{odd}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_is_rotated_stays_a_pair() {
    let vault = Vault::default();
    let rotate = |n: u32| {
        vault.put("CHAIN", pem("CERTIFICATE", &format!("chain {n}")));
        vault.put("KEY", pem("PRIVATE KEY", &format!("s3cret {n}")));
    };
    rotate(1);
    let secrets = vault.secrets();
    let pair = KeyPair::new(secrets.clone(), name("CHAIN"), name("KEY"));
    let is = |n: u32| {
        let chain = pem("CERTIFICATE", &format!("chain {n}"));
        Ok((chain, pem("PRIVATE KEY", &format!("s3cret {n}"))))
    };
    assert_eq!(read(&pair).await, is(1));
    // The key is read again by somebody else, so that it is younger than the chain.
    advance(Duration::from_secs(30)).await;
    let key = secrets.get(&name("KEY")).await.expect("a secret");
    secrets.invalidate(&name("KEY"), Credential::of(&key));
    assert_eq!(read(&pair).await, is(1));
    rotate(2);
    advance(Duration::from_secs(30)).await;
    assert_eq!(read(&pair).await, is(2), "not the new chain with the old key");
    rotate(3);
    pair.refused();
    assert_eq!(read(&pair).await, is(3));
}
