//! Thirty planted secrets, every kind of trouble, and none of them in anything that comes out.

mod capture;
mod run;
mod scan;
mod server;

use self::{
    run::{Leak, run},
    scan::{Planted, scan, spellings},
};

#[tokio::test]
async fn no_planted_secret_comes_out_anywhere() {
    let (sinks, planted) = run(None).await;
    assert!(planted.len() >= 30, "{} are planted", planted.len());
    for name in
        ["trace", "rows", "backup", "audit", "letters", "errors", "events", "debug", "replies"]
    {
        let bytes: usize = sinks.iter().filter(|(sink, _)| sink == name).map(|s| s.1.len()).sum();
        assert!(bytes > 20, "nothing came out in {name}");
    }
    let hits = scan(&sinks, &planted);
    assert!(hits.is_empty(), "{hits:#?}");
}

#[tokio::test]
async fn a_secret_that_does_come_out_is_found_in_each_sink() {
    for leak in [Leak::Trace, Leak::Row, Leak::Error, Leak::Reply, Leak::Letter, Leak::Debug] {
        let (sinks, planted) = run(Some(leak)).await;
        let hits = scan(&sinks, &planted);
        assert!(!hits.is_empty(), "{leak:?} is not seen");
    }
}

#[test]
fn a_secret_is_found_in_every_spelling() {
    let mut planted = Planted::default();
    let secret = planted.plant("one");
    planted.plant("two");
    for (spelling, form) in spellings(&secret) {
        let sink = ("a log".to_owned(), format!("before {form} behind").into_bytes());
        let hits = scan(&[sink], &planted);
        assert!(hits.contains(&format!("one in a log, {spelling}")), "{spelling}: {hits:?}");
        assert!(hits.iter().all(|hit| hit.starts_with("one ")), "{hits:?}");
    }
    assert!(scan(&[("a log".to_owned(), b"nothing".to_vec())], &planted).is_empty());
}
