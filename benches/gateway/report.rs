//! The table for people, and the line for programs.

use serde_json::{Value, json};

use super::{Counted, Results, Row};

/// Prints everything that was measured.
pub(crate) fn table(results: &Results) {
    println!(
        "{:<26} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>6} {:>5}",
        "run", "msg/s", "p50 ms", "p99 ms", "max ms", "CPU us", "messages", "secs", "load"
    );
    for Row { name, figures: f } in results.memory.iter().chain(&results.redb) {
        println!(
            "{name:<26} {:>9.0} {:>8.2} {:>8.2} {:>8.2} {:>8.1} {:>9} {:>6.1} {:>5.2}",
            f.per_s, f.p50_ms, f.p99_ms, f.max_ms, f.cpu_us, f.messages, f.secs, f.load
        );
    }
    println!(
        "\nLatency: from the hand-out by the source (paced: from the moment it was meant for) to \
         the reply at the channel.\nCPU: all threads, a message, the bench's own channel \
         included. Load: the machine's, when the run began."
    );
    if let Some(counted) = &results.counted {
        println!("\na message writes          commits     rows");
        for (step, tally) in &counted.steps {
            let (commits, rows) =
                (per(tally.commits, counted.messages), per(tally.rows, counted.messages));
            println!("{step:<26} {commits:>6.3} {rows:>8.3}");
        }
        let left = per(counted.left as u64, counted.messages);
        println!("{:<26} {:>15.3}", "rows it leaves", left);
    }
    let filled = &results.filled;
    if filled.rows > 0 {
        println!(
            "\nstored before the redb runs: {} rows of {} messages, written in {:.1} s; the file \
             at the end: {} MiB",
            filled.rows,
            filled.messages,
            filled.took.as_secs_f64(),
            results.file_mib
        );
        let [before, after] = results.fsyncs_per_s;
        println!(
            "peer, append and fdatasync of 256 bytes: {before:.0} /s before the redb runs, \
             {after:.0} /s after them"
        );
    }
    println!("peer, tokio task hop and back: {:.0} ns\n", results.hop_ns);
}

/// One JSON object, in one line.
pub(crate) fn json(results: &Results) -> Value {
    let memory = results.memory.first().map(|row| &row.figures);
    let redb = results.redb.first().map(|row| &row.figures);
    let half = results.redb.get(1).map(|row| &row.figures);
    let main = redb.or(memory);
    let counted = results.counted.as_ref();
    json!({
        "memory_msgs_per_s": memory.map(|f| f.per_s.round()),
        "redb_msgs_per_s": redb.map(|f| f.per_s.round()),
        "redb_path_p99_ms": redb.map(|f| hundredths(f.p99_ms)),
        "redb_half_load_p99_ms": half.map(|f| hundredths(f.p99_ms)),
        "commits_per_msg": counted.map(|c| hundredths(each(c, |tally| tally.commits))),
        "rows_per_msg": counted.map(|c| hundredths(each(c, |tally| tally.rows))),
        "effect": "at_most_once",
        "secs": main.map(|f| hundredths(f.secs)),
        "stored_rows": redb.map(|_| results.filled.rows),
        "cpu_us_per_msg": main.map(|f| hundredths(f.cpu_us)),
        "raw_fsync_per_s": redb.map(|_| (results.fsyncs_per_s.iter().sum::<f64>() / 2.0).round()),
    })
}

fn each(counted: &Counted, what: impl Fn(&openclaw_benches::load::Tally) -> u64) -> f64 {
    per(counted.steps.values().map(what).sum(), counted.messages)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a short pass are far below 2^52")]
fn per(count: u64, messages: u64) -> f64 {
    count as f64 / messages.max(1) as f64
}

fn hundredths(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}
