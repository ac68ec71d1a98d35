//! How fast it is, printed on demand: `--ignored --nocapture`.
#![allow(clippy::print_stdout, reason = "a measurement is printed")]

use tokio::time::Instant;

use super::*;

async fn commits(store: &PostgresStore, clients: u64, limit: Duration) -> f64 {
    let began = Instant::now();
    let client = |c: u64| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut done = 0_u32;
            while began.elapsed() < limit {
                let key = Key::system("speed").number(c).number(done.into()).build();
                let put = Txn::new("t").guard(Guard::Absent(key.clone()));
                applied(store.commit(put.op(Op::put(key, vec![7; 256]))).await);
                done += 1;
            }
            done
        })
    };
    let mut done = 0;
    for client in (0..clients).map(client).collect::<Vec<_>>() {
        done += client.await.expect("a client");
    }
    f64::from(done) / began.elapsed().as_secs_f64()
}

/// What the machine gives today: inserts of the same size, each a commit of its own.
async fn bare(limit: Duration) -> Option<f64> {
    let session = session(&fresh()?).await;
    session.batch_execute("CREATE TABLE bare (key bytea PRIMARY KEY, value bytea)").await.unwrap();
    let insert = session.prepare("INSERT INTO bare VALUES ($1, $2)").await.unwrap();
    let (began, mut done) = (Instant::now(), 0_u32);
    while began.elapsed() < limit {
        let key = key(done.into());
        session.execute(&insert, &[&key.as_bytes(), &vec![7_u8; 256]]).await.unwrap();
        done += 1;
    }
    Some(f64::from(done) / began.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn speed() {
    let limit = Duration::from_secs(4);
    let Some(bare) = bare(limit).await else { return };
    println!("bare inserts one by one: {bare:.0}/s");
    for clients in [1, 16, 64, 256] {
        let Some(address) = fresh() else { return };
        let store = open(&address).await;
        println!("{clients} clients: {:.0} commits/s", commits(&store, clients, limit).await);
        let (began, mut reads) = (Instant::now(), 0_u32);
        while began.elapsed() < limit / 4 {
            drop(store.get(&key(1)).await.unwrap());
            reads += 1;
        }
        println!("   reads one by one: {:.0}/s", f64::from(reads) / began.elapsed().as_secs_f64());
    }
}
