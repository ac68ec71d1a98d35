//! The desk as a process of its own: one sealed store, one gateway, and a console for people.
//!
//! The console reads orders as lines of JSON and answers each with a line:
//! `{"do":"open"}`, `{"do":"decide","id":…,"by":…,"role":…,"yes":…,"memo":…}`, `{"do":"audit"}`,
//! `{"do":"stop"}`. Whoever can write there is whoever the host has let in.

use std::{
    error::Error,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::Duration,
};

use openclaw_channels::{
    guarded_http::{EgressPolicy, GuardedHttp},
    http::HttpChannel,
};
use openclaw_core::{
    ChannelId, Env, Principal, Secret, Subject, TenantId,
    agent::Agent as _,
    gateway::Gateway,
    http::Http,
    middleware::stack::{Resilience, ResilienceConfig},
    records::Vote,
    rules::Rules,
    store::{Keys, RedbStore, SealKey, SealedStore, SharedStore},
};
use openclaw_skills::{
    auth::{ClientAuth, OAuth},
    secrets::{EnvSecrets, SecretRef, SecretSource, Secrets},
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use crate::{
    agent::Support,
    remote::CLIENT_ID,
    skills::{Remotes, Signature, rules},
};

/// The tenant of the desk.
pub(crate) const TENANT: &str = "acme";
/// The HTTP channel's name, in `channel_id`.
pub(crate) const CHANNEL: &str = "web";
/// The variables that hold the desk's secrets.
pub(crate) const CRM_SECRET: &str = "CRM_CLIENT_SECRET";
pub(crate) const FINANCE_SECRET: &str = "FINANCE_HOOK_SECRET";
pub(crate) const STORE_KEY: &str = "DESK_STORE_KEY";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs the desk over this directory until it is told to stop.
pub(crate) async fn run(data: &Path, remote: SocketAddr) -> Outcome<()> {
    let env = Env::system();
    let secrets =
        Secrets::builder().provider(SecretSource::Env, "default", EnvSecrets::system()).build()?;
    let key: Secret = secrets.get(&SecretRef::env(STORE_KEY)?).await?;
    let keys = Keys::sealing("desk", &SealKey::from_hex(&key)?);
    let below = RedbStore::open(data.join("store.redb"), env.clock())?;
    let store: SharedStore = Arc::new(SealedStore::new(below, keys));
    let tenant = TenantId::new(TENANT)?;

    let remotes = remotes(&env, remote, secrets, &store, &tenant)?;
    let agent = Support::new()?;
    let web = HttpChannel::builder(ChannelId::new(CHANNEL)?)
        .tenant(tenant.clone())
        .agents([agent.id().clone()])
        .env(env.clone())
        .build()?;
    let builder = Gateway::builder(env, store)
        .channel(web.clone())
        .agent(agent)
        .authorizer(Rules::from_json(&rules())?);
    let builder = remotes.skills()?.into_iter().fold(builder, |all, skill| all.skill(skill));
    let gateway = builder.start().await?;
    let server = web.serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), gateway.clone()).await?;
    say(&json!({ "web": server.local_addr(), "waiting": gateway.recovered().waiting }));
    attend(&gateway, &tenant, BufReader::new(tokio::io::stdin()).lines()).await?;
    server.shutdown().await;
    Ok(gateway.drain(Duration::from_secs(10)).await?)
}

fn remotes(
    env: &Env,
    remote: SocketAddr,
    secrets: Secrets,
    store: &SharedStore,
    tenant: &TenantId,
) -> Outcome<Remotes> {
    let http: Arc<dyn Http> =
        Arc::new(GuardedHttp::builder().policy(EgressPolicy::loopback()).build()?);
    let at = format!("http://{remote}");
    let oauth = OAuth::client_credentials("crm", format!("{at}/oauth/token"), CLIENT_ID)
        .client_secret(SecretRef::env(CRM_SECRET)?)
        .client_auth(ClientAuth::Post)
        .build(
            Arc::clone(&http),
            secrets.clone(),
            Arc::clone(store),
            tenant.clone(),
            env.clone(),
        )?;
    let reference = SecretRef::env(FINANCE_SECRET)?;
    let signature = Signature { secrets, reference, env: env.clone() };
    let resilience = Resilience::new(ResilienceConfig::from_json(
        r#"{ "http": { "default": { "retry": { "base": "50ms" } } } }"#,
    )?)?;
    Ok(Remotes::new(&http, &at, oauth, signature, &resilience)?)
}

/// Does what the console says, until it says stop or ends.
async fn attend(
    gateway: &Gateway,
    tenant: &TenantId,
    mut lines: Lines<BufReader<Stdin>>,
) -> Outcome<()> {
    while let Some(line) = lines.next_line().await? {
        let order: Value = serde_json::from_str(&line)?;
        let text = |name: &str| order.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("do") {
            "open" => say(&open(gateway, tenant).await?),
            "decide" => say(&decide(gateway, tenant, &order).await?),
            "audit" => {
                let report = gateway.audit(tenant).verify(None).await?;
                say(&json!({ "ok": report.is_ok(), "entries": report.sealed + report.open }));
            }
            _ => break,
        }
    }
    Ok(())
}

/// What waits for a decision.
async fn open(gateway: &Gateway, tenant: &TenantId) -> Outcome<Value> {
    let (open, _) =
        gateway.approvals(tenant).open(None, NonZeroUsize::MIN.saturating_add(99)).await?;
    let shown = open.into_iter().filter_map(|(id, approval)| {
        let asked = approval.asked?;
        Some(
            json!({ "id": id, "skill": asked.skill, "input": asked.input, "sender": asked.sender }),
        )
    });
    Ok(shown.collect())
}

/// Records a person's word; a refusal is told by its code.
async fn decide(gateway: &Gateway, tenant: &TenantId, order: &Value) -> Outcome<Value> {
    let text = |name: &str| order.get(name).and_then(Value::as_str).unwrap_or_default();
    let by = Principal::authenticated(tenant.clone(), Subject::new(text("by"))?, "console");
    let yes = order.get("yes").and_then(Value::as_bool) == Some(true);
    let vote = if yes { Vote::yes() } else { Vote::no() };
    let vote = vote.role(text("role")).because(text("memo"));
    Ok(match gateway.decide_approval(&by, text("id"), vote).await {
        Ok(state) => json!({ "state": state.name() }),
        Err(e) => json!({ "refused": e.kind().code() }),
    })
}

#[expect(clippy::print_stdout, reason = "a program for people prints")]
fn say(line: &Value) {
    println!("{line}");
    // A pipe that nobody reads any more is the end of whoever asked.
    drop(std::io::stdout().flush());
}
