//! The self-test: remotes that fail, a person's yes, a kill in between, and what came of it.

use std::{error::Error, fs, path::Path, time::Duration};

use openclaw_core::{Env, Secret};
use openclaw_examples::{Answer, Checks, ask};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    child::{Desk, Secrets},
    desk::CHANNEL,
    remote::{Misdeed, Remote},
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Whom the whole thing is about.
const ANN: &str = "c-4";

/// Plays everything in a directory of its own. `false` when a check did not hold.
pub(crate) async fn run() -> Result<bool, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let env = Env::system();
    let word = || (0..4).map(|_| format!("{:016x}", env.next_u64())).collect::<String>();
    let secrets = Secrets { crm: word(), finance: word(), store: word() };
    let remote = Remote::start(&secrets.crm, Secret::new(secrets.finance.clone())).await?;
    let mut checks = Checks::default();
    let played = play(dir.path(), &remote, &secrets, &mut checks).await;
    if let Err(problem) = &played {
        println!("FAIL  {problem}");
    }
    let ok = played.is_ok() && checks.all_hold();
    let (done, updates) = (checks.done(), remote.done().updates);
    println!("{}", json!({ "ok": ok, "checks": done, "remote_updates": updates }));
    Ok(ok)
}

async fn play(
    data: &Path,
    remote: &Remote,
    secrets: &Secrets,
    checks: &mut Checks,
) -> Result<(), String> {
    let mut desk = Desk::start(data, remote.at(), secrets).await?;
    let (message, approval) = asked(&mut desk, remote, checks).await?;
    others(&mut desk, &approval, checks).await?;
    let first = remote.token().unwrap_or_default();
    let mut said = desk.kill().await?;

    let mut desk = Desk::start(data, remote.at(), secrets).await?;
    let one = desk.waiting == 1;
    checks.that("killed and started again, one turn waits", one, &desk.waiting);
    let open = desk.order(&json!({ "do": "open" })).await?;
    let same = open.pointer("/0/id").and_then(Value::as_str) == Some(&approval);
    checks.that("the question is still open", same, &open);
    granted(&mut desk, remote, &message, &approval, checks).await?;
    again(&mut desk, remote, &message, &approval, checks).await?;
    refused(&mut desk, remote, checks).await?;
    let audit = desk.order(&json!({ "do": "audit" })).await?;
    let entries = audit.get("entries").and_then(Value::as_u64);
    let whole = audit.get("ok") == Some(&json!(true)) && entries > Some(20);
    checks.that("the audit trail is whole", whole, &audit);
    said.push_str(&desk.said);
    checks.that("it stops when it is told to", desk.stop().await?, &"it did not");
    let tokens = [first, remote.token().unwrap_or_default()];
    quiet(data, &tokens, secrets, &said, checks)
}

/// Somebody asks for a change; the CRM is down, then busy, and then gives two pages.
async fn asked(
    desk: &mut Desk,
    remote: &Remote,
    checks: &mut Checks,
) -> Result<(String, String), String> {
    remote.misbehave("search", &[Misdeed::Down, Misdeed::Throttle]);
    let answer = tell(desk, "m-1", "move ann@crm.test to 12 Elm Street, Bergen, 5003, NO").await?;
    checks.that("a change that needs a yes is acknowledged", answer.status == 202, &answer);
    let open = opened(desk, 1).await?;
    // People are asked in one commit, and the turn begins to wait in the next.
    stands(desk, answer.text("/message_id"), "waiting").await?;
    let input = open.pointer("/0/input").cloned().unwrap_or_default();
    let exact = json!({ "customer": ANN, "address":
        { "street": "12 Elm Street", "city": "Bergen", "postcode": "5003", "country": "NO" } });
    checks.that("people are asked for exactly what will be done", input == exact, &input);
    let done = remote.done();
    checks.that("nothing was changed before", done.updates == 0, &done);
    let searched = done.searches == 4;
    checks.that("503, 429, page one, page two: four searches", searched, &done.searches);
    checks.that("one token was enough", (done.tokens, done.refused) == (1, 0), &done);
    let approval = open.pointer("/0/id").and_then(Value::as_str).unwrap_or_default();
    Ok((answer.text("/message_id").to_owned(), approval.to_owned()))
}

/// Those who may not decide.
async fn others(desk: &mut Desk, approval: &str, checks: &mut Checks) -> Result<(), String> {
    let told = decide(desk, approval, "clerk", "back-office", true).await?;
    checks.that("whoever asked can't approve", says(&told, "refused", "PERMISSION_DENIED"), &told);
    let told = decide(desk, approval, "bob", "sales", true).await?;
    checks.that("nor can another department", says(&told, "refused", "PERMISSION_DENIED"), &told);
    let told = decide(desk, "nobody-asked", "bob", "back-office", true).await?;
    checks.that("what nobody asked is not there", says(&told, "refused", "NOT_FOUND"), &told);
    Ok(())
}

/// The yes; then the token is revoked, the answer to the change is lost, and others are down.
async fn granted(
    desk: &mut Desk,
    remote: &Remote,
    message: &str,
    approval: &str,
    checks: &mut Checks,
) -> Result<(), String> {
    remote.misbehave("graphql", &[Misdeed::Revoke, Misdeed::LoseAnswer]);
    remote.misbehave("note", &[Misdeed::LoseAnswer]);
    remote.misbehave("notice", &[Misdeed::Down]);
    let told = decide(desk, approval, "bob", "back-office", true).await?;
    checks.that("the back office says yes", says(&told, "state", "granted"), &told);
    let answer = answered(desk, message).await?;
    let reply = "Bills of Ann Dahl go to 12 Elm Street, Bergen now.";
    checks.that("the turn goes on and answers", answer.text("/reply") == reply, &answer);
    let done = remote.done();
    checks.that("the address was changed once", done.updates == 1, &done);
    let keys = &done.update_keys;
    let one_key = keys.len() > 1 && keys.iter().all(|key| Some(key) == keys.first());
    checks.that("the lost answer was asked for again, by the same key", one_key, keys);
    let address = remote.address(ANN);
    let approved = says(&address, "street", "12 Elm Street");
    checks.that("it is the address that was approved", approved, &address);
    let renewed = (done.tokens, done.refused) == (2, 1);
    checks.that("the token outlived the kill; revoked, it was renewed once", renewed, &done);
    let note = [(ANN.to_owned(), "billing address changed by support".to_owned())];
    checks.that("there is one note", done.notes == note, &done.notes);
    let notice = [json!({ "customer": ANN, "event": "billing_address_changed" })];
    checks.that("finance was told once", done.notices == notice, &done.notices);
    checks.that("and by us", done.unsigned == 0, &done.unsigned);
    Ok(())
}

/// What comes again changes nothing.
async fn again(
    desk: &mut Desk,
    remote: &Remote,
    message: &str,
    approval: &str,
    checks: &mut Checks,
) -> Result<(), String> {
    let told = decide(desk, approval, "bob", "back-office", true).await?;
    checks.that("a yes counts once", says(&told, "refused", "CONFLICT"), &told);
    let answer = tell(desk, "m-1", "move ann@crm.test to 12 Elm Street, Bergen, 5003, NO").await?;
    checks.that("the same message is the same", answer.text("/message_id") == message, &answer);
    let done = remote.done();
    let once = (done.updates, done.notes.len(), done.notices.len()) == (1, 1, 1);
    checks.that("nothing was done again", once, &done);
    Ok(())
}

/// What people and rules refuse, and what can't be.
async fn refused(desk: &mut Desk, remote: &Remote, checks: &mut Checks) -> Result<(), String> {
    let asked = tell(desk, "m-2", "move ann@crm.test to 1 New Street, Oslo, 0151, NO").await?;
    let open = opened(desk, 1).await?;
    let id = open.pointer("/0/id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = decide(desk, &id, "eve", "back-office", false).await?;
    checks.that("the back office says no", says(&told, "state", "denied"), &told);
    let answer = answered(desk, asked.text("/message_id")).await?;
    let no = answer.text("/reply").starts_with("That was refused");
    checks.that("whoever asked is told of it", no, &answer);
    for (key, country, what) in [
        ("m-3", "XX", "a rule refuses without asking anybody"),
        ("m-4", "US", "what no rule allows is refused"),
    ] {
        let text = format!("move ann@crm.test to 1 Far Street, Away, 1, {country}");
        let asked = tell(desk, key, &text).await?;
        let answer = answered(desk, asked.text("/message_id")).await?;
        checks.that(what, answer.text("/reply").starts_with("That was refused"), &answer);
    }
    let nobody = "move bo@crm.test to 1 Elm Street, Oslo, 0150, NO";
    let nowhere = "move ann@crm.test to 1 Elm Street, Oslo, 0150, Norway";
    for (key, text, reply, what) in [
        ("m-5", nobody, "I know no customer", "an unknown customer is told of"),
        ("m-6", nowhere, "I can't do that", "an address that can't be one is told of"),
        ("m-7", "give me everything", "Say: move", "what is not understood gets help"),
    ] {
        let asked = tell(desk, key, text).await?;
        let answer = answered(desk, asked.text("/message_id")).await?;
        checks.that(what, answer.text("/reply").starts_with(reply), &answer);
    }
    let open = desk.order(&json!({ "do": "open" })).await?;
    checks.that("nobody was asked for any of these", open == json!([]), &open);
    let address = remote.address(ANN);
    let same = says(&address, "street", "12 Elm Street");
    checks.that("the address is as it was", same, &address);
    Ok(())
}

/// No secret is where others can read it: on the disk, at the console, among the complaints.
fn quiet(
    data: &Path,
    tokens: &[String; 2],
    secrets: &Secrets,
    said: &str,
    checks: &mut Checks,
) -> Result<(), String> {
    let mut bytes = said.as_bytes().to_vec();
    for entry in fs::read_dir(data).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        bytes.extend(fs::read(path).map_err(|e| e.to_string())?);
    }
    let [one, two] = tokens;
    let planted = [&secrets.crm, &secrets.finance, &secrets.store, one, two];
    let is_found = |secret: &str| bytes.windows(secret.len()).any(|some| some == secret.as_bytes());
    let found = planted.iter().filter(|secret| is_found(secret.as_str())).count();
    let looked = one != two && one.len().min(two.len()) > 8 && is_found("web");
    checks.that("no secret is on the disk or was said", looked && found == 0, &found);
    Ok(())
}

fn says(value: &Value, name: &str, text: &str) -> bool {
    value.get(name).and_then(Value::as_str) == Some(text)
}

/// Says something to the desk, and waits a moment for its answer.
async fn tell(desk: &Desk, key: &str, text: &str) -> Result<Answer, String> {
    let metadata = json!({ "conversation_id": key, "sender_id": "clerk" });
    let body = json!({ "channel_id": CHANNEL, "payload": text, "metadata": metadata });
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    ask(desk.web, "POST /v1/messages", &headers, &body.to_string()).await
}

/// The answer to a message, once it is there.
async fn answered(desk: &Desk, message: &str) -> Result<Answer, String> {
    stands(desk, message, "done").await
}

/// What the desk says of a message, once it stands so.
async fn stands(desk: &Desk, message: &str, status: &str) -> Result<Answer, String> {
    let wait = async {
        loop {
            let answer = ask(desk.web, &format!("GET /v1/messages/{message}"), &[], "").await?;
            if answer.text("/status") == status {
                return Ok(answer);
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, wait).await.map_err(|_late| format!("{message} was never {status}"))?
}

/// What waits for a decision, once there are so many.
async fn opened(desk: &mut Desk, count: usize) -> Result<Value, String> {
    let wait = async {
        loop {
            let open = desk.order(&json!({ "do": "open" })).await?;
            if open.as_array().is_some_and(|open| open.len() == count) {
                return Ok(open);
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, wait).await.map_err(|_late| "nobody was asked".to_owned())?
}

async fn decide(
    desk: &mut Desk,
    id: &str,
    by: &str,
    role: &str,
    yes: bool,
) -> Result<Value, String> {
    let memo = if yes { "she called us" } else { "call her first" };
    let order =
        json!({ "do": "decide", "id": id, "by": by, "role": role, "yes": yes, "memo": memo });
    desk.order(&order).await
}
