//! Secrets by reference: names, places, freshness, and what errors say.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    Error, ErrorKind, Happened, Result, Secret, TenantId,
    store::{Key, Keys, MemoryStore, ScanQuery, SealKey, SealedStore, SharedStore, StateStore},
};
use openclaw_skills::{
    api::Credential,
    secrets::{EnvSecrets, SecretProvider, SecretRef, SecretSource, Secrets, StoredSecrets},
};
use openclaw_testkit::env::test_env;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{advance, sleep, timeout},
};

fn read(value: &Value) -> Result<SecretRef, String> {
    serde_json::from_value(value.clone()).map_err(|e| e.to_string())
}

#[test]
fn references_are_written_as_the_node_program_writes_them() {
    let full = |source, provider, id| json!({ "source": source, "provider": provider, "id": id });
    let (long, longer) = ("A".repeat(128), "A".repeat(129));
    let (path, over) = ("a".repeat(256), "a".repeat(257));
    for good in [
        json!("${CRM_KEY}"),
        json!(" ${CRM_KEY} "),
        full("env", "default", "CRM_KEY"),
        full("env", "default", &long),
        full("store", "default", "CRM_KEY"),
        full("file", "vault-1_a", "value"),
        full("file", "default", "/a/b~0c/d~1e//"),
        full("exec", "vault", "providers/openai#api-key:v2"),
        full("exec", "vault", &path),
        json!({ "source": "env", "id": "CRM_KEY" }),
    ] {
        let reference = read(&good).unwrap_or_else(|e| panic!("{good}: {e}"));
        let written = serde_json::to_value(&reference).expect("it is written");
        assert_eq!(read(&written), Ok(reference));
        assert_eq!(written.as_object().map(serde_json::Map::len), Some(3), "{written}");
    }
    for bad in [
        json!("s3cret"),
        json!("${s3cret}"),
        json!("$S3CRET"),
        json!(["s3cret"]),
        json!(3_735_928_559_u64),
        json!(null),
        full("env", "default", "s3cret"),
        full("env", "default", &longer),
        full("env", "Default", "CRM_KEY"),
        full("env", "", "CRM_KEY"),
        full("vault-s3cret", "default", "CRM_KEY"),
        full("file", "default", "s3cret"),
        full("file", "default", "/a~2s3cret"),
        full("file", "default", "/a~"),
        full("exec", "default", "a/../s3cret"),
        full("exec", "default", "./s3cret"),
        full("exec", "default", &over),
        json!({ "source": "env", "id": "CRM_KEY", "s3cret": "" }),
        json!({ "source": "env", "id": { "s3cret": 1 } }),
        json!({ "source": "env", "provider": "default" }),
    ] {
        let error = read(&bad).expect_err(&bad.to_string());
        assert!(!error.contains("3cret") && !error.contains("3735"), "{error}");
    }
}

/// A place whose value changes at each look, and that takes its time.
#[derive(Clone, Debug, Default)]
struct Counted {
    reads: Arc<AtomicU32>,
    fails: Arc<Mutex<Option<ErrorKind>>>,
    slow: Duration,
}

#[async_trait]
impl SecretProvider for Counted {
    async fn fetch(&self, id: &str) -> Result<Secret> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        sleep(self.slow).await;
        match *self.fails.lock().expect("not poisoned") {
            Some(kind) => Err(Error::new(kind, "the vault is sealed").with_happened(Happened::Yes)),
            None => Ok(Secret::new(format!("{id}-{read}"))),
        }
    }
}

fn counted(slow: Duration) -> (Counted, Secrets, SecretRef) {
    let place = Counted { slow, ..Counted::default() };
    let secrets = Secrets::builder().provider(SecretSource::Env, "default", place.clone());
    (place, secrets.build().expect("names"), SecretRef::env("KEY").expect("a name"))
}

async fn text(secrets: &Secrets, reference: &SecretRef) -> String {
    secrets.get(reference).await.expect("a secret").expose().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_kept_for_a_minute_and_never_longer() {
    let (place, secrets, key) = counted(Duration::ZERO);
    assert_eq!(text(&secrets, &key).await, "KEY-1");
    advance(Duration::from_secs(59)).await;
    assert_eq!(text(&secrets, &key).await, "KEY-1");
    advance(Duration::from_secs(1)).await;
    assert_eq!(text(&secrets, &key).await, "KEY-2", "a new one without a restart");
    *place.fails.lock().expect("not poisoned") = Some(ErrorKind::Unavailable);
    advance(Duration::from_secs(60)).await;
    let error = secrets.get(&key).await.expect_err("an old value is no value");
    let said = (error.kind(), error.happened(), error.to_string());
    let text = "UNAVAILABLE: the vault is sealed (secret=env:default:KEY)";
    assert_eq!(said, (ErrorKind::Unavailable, Happened::No, text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_ask_at_once_cause_one_read() {
    let (place, secrets, key) = counted(Duration::from_secs(1));
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        let (secrets, key) = (secrets.clone(), key.clone());
        callers.spawn(async move { text(&secrets, &key).await });
    }
    assert!(callers.join_all().await.iter().all(|text| text == "KEY-1"));
    assert_eq!(place.reads.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_is_read_anew_once_and_a_later_one_is_kept() {
    let (place, secrets, key) = counted(Duration::from_secs(1));
    let refused = Credential::of(&secrets.get(&key).await.expect("a secret"));
    secrets.invalidate(&key, refused);
    let asked = text(&secrets, &key);
    let meanwhile = async {
        sleep(Duration::from_millis(500)).await;
        secrets.invalidate(&key, refused);
    };
    let (found, ()) = tokio::join!(asked, meanwhile);
    assert_eq!(found, "KEY-2", "what is on its way is left alone");
    secrets.invalidate(&key, refused);
    assert_eq!(text(&secrets, &key).await, "KEY-2", "an older one was refused");
    assert_eq!(place.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_does_not_answer_is_given_up() {
    let (_, secrets, key) = counted(Duration::from_secs(11));
    let error = secrets.get(&key).await.expect_err("it takes too long");
    assert_eq!((error.kind(), error.happened()), (ErrorKind::Timeout, Happened::No));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_takes_its_read_along() {
    let (place, secrets, key) = counted(Duration::from_secs(2));
    assert!(timeout(Duration::from_secs(1), secrets.get(&key)).await.is_err());
    assert_eq!(text(&secrets, &key).await, "KEY-2");
    assert_eq!(place.reads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn only_providers_that_were_added_are_asked() {
    let env = || EnvSecrets::of(|name| (name == "EMPTY").then(String::new));
    let builder = Secrets::builder().provider(SecretSource::Env, "default", env());
    let secrets = builder.build().expect("names");
    for reference in [SecretRef::env("MISSING"), SecretRef::env("EMPTY"), SecretRef::store("KEY")] {
        let reference = reference.expect("a name");
        let error = secrets.get(&reference).await.expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(&reference.to_string()), "{error}");
    }
    let twice = Secrets::builder().provider(SecretSource::Env, "a", env());
    assert!(twice.provider(SecretSource::Env, "a", env()).build().is_err());
    assert!(Secrets::builder().provider(SecretSource::Env, "A", env()).build().is_err());
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_sealed_store_are_sealed_and_a_tenants_own() {
    let below = MemoryStore::new(test_env(1).clock());
    let keys = Keys::sealing("k", &SealKey::from_bytes(&[7; 32]));
    let store: SharedStore = Arc::new(SealedStore::new(below.clone(), keys));
    let of = |tenant| {
        let tenant = TenantId::new(tenant).expect("a name");
        StoredSecrets::new(Arc::clone(&store), tenant)
    };
    let (acme, other) = (of("acme"), of("other"));
    acme.put("KEY", &Secret::new("s3cret-of-acme")).await.expect("it is kept");
    assert_eq!(acme.fetch("KEY").await.expect("it is there").expose(), "s3cret-of-acme");
    assert_eq!(other.fetch("KEY").await.expect_err("not theirs").kind(), ErrorKind::NotFound);
    let all = ScanQuery::new(Key::all_of(&TenantId::new("acme").expect("a name")));
    let rows = below.scan(all).await.expect("rows").value.rows;
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].1.value.windows(6).any(|some| some == b"s3cret"));
    acme.remove("KEY").await.expect("it goes");
    assert!(acme.fetch("KEY").await.is_err());
    assert!(acme.put("key", &Secret::new("x")).await.is_err(), "no reference could name it");
}

#[cfg(unix)]
mod files {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt, symlink},
        path::Path,
    };

    use openclaw_core::ErrorKind;
    use openclaw_skills::secrets::{FileSecrets, SecretProvider};
    use tempfile::TempDir;

    fn write(dir: &TempDir, text: impl AsRef<[u8]>, mode: u32) -> std::path::PathBuf {
        let path = dir.path().join("secrets");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its rights");
        path
    }

    async fn fetch(path: &Path, id: &str) -> Result<String, ErrorKind> {
        let file = FileSecrets::new(path).expect("an absolute path");
        let found = file.fetch(id).await;
        found.map(|secret| secret.expose().to_owned()).map_err(|e| {
            assert!(!format!("{e} {e:?}").contains("s3cret"), "{e:?}");
            e.kind()
        })
    }

    #[tokio::test]
    async fn a_file_is_one_secret_or_a_document_of_many() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = write(&dir, "s3cret\r\n", 0o600);
        assert_eq!(fetch(&path, "value").await.as_deref(), Ok("s3cret"));
        fs::write(&path, r#"{"a":{"b/c":"s3cret-2","n":5}}"#).expect("written");
        assert_eq!(fetch(&path, "/a/b~1c").await.as_deref(), Ok("s3cret-2"), "read at each use");
        assert_eq!(fetch(&path, "/a/n").await, Err(ErrorKind::NotFound), "no text");
        assert_eq!(fetch(&path, "/b").await, Err(ErrorKind::NotFound));
        fs::write(&path, r#"{"a":"s3cret","a":"s3cret"}"#).expect("written");
        assert_eq!(fetch(&path, "/a").await, Err(ErrorKind::ValidationError), "which of the two?");
    }

    #[tokio::test]
    async fn a_file_that_others_may_touch_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o660, 0o610] {
            let path = write(&dir, "s3cret", mode);
            assert_eq!(fetch(&path, "value").await, Err(ErrorKind::PermissionDenied), "{mode:o}");
        }
        let path = write(&dir, "s3cret", 0o400);
        assert_eq!(fetch(&path, "value").await.as_deref(), Ok("s3cret"));
    }

    #[tokio::test]
    async fn a_link_is_judged_by_what_it_leads_to() {
        let dir = tempfile::tempdir().expect("a folder");
        let link = dir.path().join("link");
        symlink(write(&dir, "s3cret", 0o600), &link).expect("a link");
        assert_eq!(fetch(&link, "value").await.as_deref(), Ok("s3cret"));
        write(&dir, "s3cret", 0o644);
        assert_eq!(fetch(&link, "value").await, Err(ErrorKind::PermissionDenied));
        fs::remove_file(dir.path().join("secrets")).expect("gone");
        assert_eq!(fetch(&link, "value").await, Err(ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn what_is_no_small_regular_file_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(fetch(dir.path(), "value").await, Err(ErrorKind::PermissionDenied));
        assert_eq!(fetch(Path::new("/dev/zero"), "value").await, Err(ErrorKind::PermissionDenied));
        let path = write(&dir, vec![b'a'; 1 << 20], 0o600);
        assert_eq!(fetch(&path, "value").await.map(|text| text.len()), Ok(1 << 20));
        let path = write(&dir, vec![b'a'; (1 << 20) + 1], 0o600);
        assert_eq!(fetch(&path, "value").await, Err(ErrorKind::ValidationError));
        let path = write(&dir, b"s3cret\xff", 0o600);
        assert_eq!(fetch(&path, "value").await, Err(ErrorKind::ValidationError));
        assert!(FileSecrets::new("secrets").is_err(), "a relative path");
    }
}

#[cfg(all(unix, feature = "exec"))]
mod programs {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt, symlink},
        path::PathBuf,
        time::Duration,
    };

    use openclaw_core::ErrorKind;
    use openclaw_skills::secrets::{ExecSecrets, SecretProvider};
    use tempfile::TempDir;

    fn program(dir: &TempDir, script: &str, mode: u32) -> PathBuf {
        let path = dir.path().join("vault");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its rights");
        path
    }

    async fn fetch(vault: &ExecSecrets) -> Result<String, ErrorKind> {
        let found = vault.fetch("a/b").await;
        found.map(|secret| secret.expose().to_owned()).map_err(|e| {
            assert!(!format!("{e} {e:?} {vault:?}").contains("s3cret"), "{e:?}");
            e.kind()
        })
    }

    #[tokio::test]
    async fn a_program_is_asked_in_json_with_nothing_but_its_own_environment() {
        let dir = tempfile::tempdir().expect("a folder");
        let script = r#"read -r asked
            [ "$asked" = '{"ids":["a/b"],"protocolVersion":1,"provider":"vault"}' ] || exit 3
            [ -z "$HOME$CARGO" ] && [ "$1" = one ] || exit 4
            printf '{"protocolVersion":1,"values":{"a/b":"s3cret-%s"}}' "$TOKEN""#;
        let vault = ExecSecrets::new("vault", program(&dir, script, 0o700)).expect("a path");
        let vault = vault.arg("one").env("TOKEN", "of-s3cret");
        assert_eq!(fetch(&vault).await.as_deref(), Ok("s3cret-of-s3cret"));
    }

    #[tokio::test]
    async fn a_program_that_fails_hangs_or_floods_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        for (script, expected) in [
            ("echo s3cret; exit 1", ErrorKind::Unavailable),
            ("echo s3cret", ErrorKind::ValidationError),
            ("exec sleep 60", ErrorKind::Timeout),
            ("exec cat /dev/zero", ErrorKind::ValidationError),
        ] {
            let vault = ExecSecrets::new("vault", program(&dir, script, 0o700)).expect("a path");
            let vault = vault.timeout(Duration::from_secs(2));
            assert_eq!(fetch(&vault).await, Err(expected), "{script}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_program_whose_caller_leaves_is_killed() {
        let dir = tempfile::tempdir().expect("a folder");
        let started = dir.path().join("started");
        let script = format!("echo $$ >{0}.new; mv {0}.new {0}; exec sleep 60", started.display());
        let vault = ExecSecrets::new("vault", program(&dir, &script, 0o700)).expect("a path");
        let running = async {
            while !started.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = running => {}
            _ = vault.fetch("a/b") => panic!("it does not answer"),
        }
        let id = fs::read_to_string(&started).expect("its number");
        let stat = || fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        // Gone, or dead and not yet waited for.
        let ends = async {
            while stat().is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ends).await.expect("it is killed");
    }

    /// The processes that a program starts end with it, too.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_a_program_has_started_is_killed_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let started = dir.path().join("started");
        // The shell waits for what hangs, as for a client whose server does not answer.
        let script =
            format!("sleep 600 & echo $! >{0}.new; mv {0}.new {0}; wait", started.display());
        let vault = ExecSecrets::new("vault", program(&dir, &script, 0o700)).expect("a path");
        let vault = vault.timeout(Duration::from_secs(3));
        assert_eq!(fetch(&vault).await, Err(ErrorKind::Timeout));
        let id = fs::read_to_string(&started).expect("its number");
        let stat = || fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        let ends = async {
            while stat().is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ends).await.expect("it is killed");
    }

    #[tokio::test]
    async fn a_program_of_another_user_is_not_run() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = program(&dir, "exit 0", 0o755);
        // Only root may give a file away; a file of root's is fine for everybody.
        let given = std::os::unix::fs::chown(&path, Some(65_534), None).is_ok();
        let vault = ExecSecrets::new("vault", path).expect("a path");
        let (expected, root) = (fetch(&vault).await, fetch_of_root().await);
        let refused = Err(ErrorKind::PermissionDenied);
        assert_eq!(expected == refused, given, "{expected:?}");
        assert_ne!(root, refused, "/bin/sh is root's");
    }

    async fn fetch_of_root() -> Result<String, ErrorKind> {
        let shell = fs::canonicalize("/bin/sh").expect("a shell");
        fetch(&ExecSecrets::new("shell", shell).expect("a path").arg("-c").arg("exit 1")).await
    }

    #[tokio::test]
    async fn a_program_that_others_may_change_is_not_run() {
        let dir = tempfile::tempdir().expect("a folder");
        let ran = dir.path().join("ran");
        let script = format!("touch {}", ran.display());
        for mode in [0o720, 0o702, 0o777] {
            let vault = ExecSecrets::new("vault", program(&dir, &script, mode)).expect("a path");
            assert_eq!(fetch(&vault).await, Err(ErrorKind::PermissionDenied), "{mode:o}");
        }
        let link = dir.path().join("link");
        symlink(program(&dir, &script, 0o700), &link).expect("a link");
        let vault = ExecSecrets::new("vault", link).expect("a path");
        assert_eq!(fetch(&vault).await, Err(ErrorKind::PermissionDenied));
        assert!(!ran.exists());
        assert!(ExecSecrets::new("vault", "vault").is_err(), "a relative path");
    }
}
