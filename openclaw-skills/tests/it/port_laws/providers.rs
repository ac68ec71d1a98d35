//! The providers of secrets that there are hold the laws of the port.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use openclaw_core::{
    Secret, TenantId,
    store::{Keys, MemoryStore, SealKey, SealedStore, SharedStore},
};
use openclaw_skills::{
    conformance::secret_provider::{SecretPlace, SecretProviderHarness},
    secrets::{EnvSecrets, SecretProvider, SecretSource, StoredSecrets},
};
use openclaw_testkit::env::test_env;

type Made = (Box<dyn SecretProvider>, Box<dyn SecretPlace>);

/// The environment of a process.
#[derive(Clone, Default)]
struct Variables(Arc<Mutex<BTreeMap<String, String>>>);

#[async_trait]
impl SecretPlace for Variables {
    async fn put(&self, id: &str, text: &str) {
        self.0.lock().expect("no panic").insert(id.to_owned(), text.to_owned());
    }

    async fn remove(&self, id: &str) {
        self.0.lock().expect("no panic").remove(id);
    }
}

/// Variables, and how their provider is held.
struct Env(fn(EnvSecrets) -> Box<dyn SecretProvider>);

#[async_trait]
impl SecretProviderHarness for Env {
    async fn fresh(&self) -> Made {
        let place = Variables::default();
        let known = place.clone();
        let env = EnvSecrets::of(move |name| known.0.lock().ok()?.get(name).cloned());
        ((self.0)(env), Box::new(place))
    }

    fn source(&self) -> SecretSource {
        SecretSource::Env
    }

    fn id(&self, n: u64) -> String {
        format!("LAW_{n}")
    }
}

/// Rows of a store; sealed, or plain.
struct Rows {
    sealed: bool,
}

struct Table(StoredSecrets);

#[async_trait]
impl SecretPlace for Table {
    async fn put(&self, id: &str, text: &str) {
        self.0.put(id, &Secret::new(text)).await.expect("it is kept");
    }

    async fn remove(&self, id: &str) {
        self.0.remove(id).await.expect("it goes");
    }
}

#[async_trait]
impl SecretProviderHarness for Rows {
    async fn fresh(&self) -> Made {
        let below = MemoryStore::new(test_env(1).clock());
        let store: SharedStore = match self.sealed {
            true => {
                let keys = Keys::sealing("k", &SealKey::from_bytes(&[7; 32]));
                Arc::new(SealedStore::new(below, keys))
            }
            false => Arc::new(below),
        };
        let rows = StoredSecrets::new(store, TenantId::new("acme").expect("an id"));
        (Box::new(rows.clone()), Box::new(Table(rows)))
    }

    fn source(&self) -> SecretSource {
        SecretSource::Store
    }

    fn id(&self, n: u64) -> String {
        format!("LAW_{n}")
    }
}

mod env {
    use super::Env;

    openclaw_skills::secret_provider_laws!("EnvSecrets", Env(|env| Box::new(env)));
}

mod arc {
    use std::sync::Arc;

    use super::Env;

    openclaw_skills::secret_provider_laws!("Arc<EnvSecrets>", Env(|env| Box::new(Arc::new(env))));
}

mod stored {
    use super::Rows;

    openclaw_skills::secret_provider_laws!("StoredSecrets", Rows { sealed: false });
}

mod sealed {
    use super::Rows;

    openclaw_skills::secret_provider_laws!("StoredSecrets, sealed", Rows { sealed: true });
}

/// A JSON document that is read as a file, or told by a program.
#[cfg(unix)]
mod documents {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
        path::PathBuf,
    };

    use openclaw_skills::secrets::FileSecrets;
    use serde_json::{Map, Value, json};
    use tempfile::TempDir;

    use super::{Made, Mutex, SecretPlace, SecretProviderHarness, SecretSource, async_trait};

    /// A folder with the document.
    struct Document {
        dir: TempDir,
        values: Mutex<Map<String, Value>>,
        around: fn(Value) -> Value,
    }

    impl Document {
        fn new(around: fn(Value) -> Value) -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let document = Self { dir, values: Mutex::default(), around };
            document.change(|_values| {});
            document
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("secrets.json")
        }

        fn write(&self, text: &str) {
            fs::write(self.path(), text).expect("it is written");
            fs::set_permissions(self.path(), Permissions::from_mode(0o600)).expect("its rights");
        }

        fn change(&self, change: impl FnOnce(&mut Map<String, Value>)) {
            let mut values = self.values.lock().expect("no panic");
            change(&mut values);
            self.write(&(self.around)(Value::Object(values.clone())).to_string());
        }
    }

    #[async_trait]
    impl SecretPlace for Document {
        async fn put(&self, id: &str, text: &str) {
            let (id, text) = (id.trim_start_matches('/').to_owned(), Value::from(text));
            self.change(|values| drop(values.insert(id, text)));
        }

        async fn remove(&self, id: &str) {
            self.change(|values| drop(values.remove(id.trim_start_matches('/'))));
        }

        fn breaks(&self) -> bool {
            true
        }

        async fn break_with(&self, text: &str) {
            self.write(text);
        }
    }

    struct File;

    #[async_trait]
    impl SecretProviderHarness for File {
        async fn fresh(&self) -> Made {
            let place = Document::new(|values| values);
            (Box::new(FileSecrets::new(place.path()).expect("a path")), Box::new(place))
        }

        fn source(&self) -> SecretSource {
            SecretSource::File
        }

        fn id(&self, n: u64) -> String {
            format!("/law-{n}")
        }

        fn too_long(&self) -> Option<usize> {
            Some(1 << 20)
        }
    }

    mod file {
        use super::File;

        openclaw_skills::secret_provider_laws!("FileSecrets", File);
    }

    #[cfg(feature = "exec")]
    mod exec {
        use openclaw_skills::secrets::ExecSecrets;

        use super::{Document, Made, SecretProviderHarness, SecretSource, async_trait, fs, json};

        struct Program;

        #[async_trait]
        impl SecretProviderHarness for Program {
            async fn fresh(&self) -> Made {
                let place =
                    Document::new(|values| json!({ "protocolVersion": 1, "values": values }));
                // Not a script of our own: a file that was just written may be busy still, in a
                // process that another test is about to start.
                let shell = fs::canonicalize("/bin/sh").expect("a shell");
                let vault = ExecSecrets::new("law", shell).expect("a path");
                let vault = vault.arg("-c").arg("read -r asked; exec cat \"$0\"");
                (Box::new(vault.arg(place.path().display().to_string())), Box::new(place))
            }

            fn source(&self) -> SecretSource {
                SecretSource::Exec
            }

            fn id(&self, n: u64) -> String {
                format!("law-{n}")
            }

            fn too_long(&self) -> Option<usize> {
                Some(1 << 20)
            }

            fn real_time(&self) -> bool {
                true
            }
        }

        openclaw_skills::secret_provider_laws!("ExecSecrets", Program);
    }
}
