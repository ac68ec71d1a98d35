//! A process that is killed while it writes a backup leaves no file of that name.

use std::{
    fs,
    process::{Command, Stdio},
};

use super::*;

const PLACE: &str = "OPENCLAW_TEST_BACKUP";

/// The child: it writes backups until it is killed.
#[tokio::test]
async fn child() {
    let Some(folder) = std::env::var_os(PLACE).map(std::path::PathBuf::from) else { return };
    let (_, store) = memory();
    for n in 0..400 {
        apply(&store, txn().op(Op::put(key(n), vec![7; 60_000]))).await;
    }
    fs::write(folder.join("begun"), "").expect("a file");
    for n in 0.. {
        let path = folder.join(format!("{n}.backup"));
        Backup::new(store.clone()).save(&path).await.expect("a backup");
        fs::remove_file(folder.join(format!("{}.backup", n - 2))).ok();
    }
}

#[tokio::test]
async fn a_killed_process_leaves_only_whole_backups() {
    let clock = openclaw_core::Env::system().clock();
    let mut parts = 0;
    for round in 0..12_u64 {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "backup::kill::child"])
            .env(PLACE, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("a child");
        while !folder.path().join("begun").exists() {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the child ended before it wrote: {ended:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(10 + 7 * round)).await;
        child.kill().expect("a kill");
        child.wait().expect("an end");
        // Read at once: the loop makes files of its own.
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
        for entry in left {
            let path = entry.expect("an entry").path();
            match path.extension().and_then(|end| end.to_str()) {
                Some("backup") => {
                    let file = BackupFile::open(&path, Arc::clone(&clock)).expect("a whole one");
                    assert_eq!(file.summary().rows, 400);
                }
                Some("part") => {
                    parts += 1;
                    let (_, store) = memory();
                    Backup::new(store).save(path.with_extension("")).await.expect("a backup");
                    assert!(!path.exists(), "what was left is in the way");
                }
                _ => {}
            }
        }
    }
    assert!(parts > 0, "no backup was under way when its process was killed");
}
