//! The gateway of the desk: one store, two channels, one agent, two skills.

use std::{
    error::Error,
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use openclaw_channels::{
    guarded_http::{EgressPolicy, GuardedHttp},
    http::{Hook, HttpChannel},
    terminal::TerminalChannel,
};
use openclaw_core::{
    ChannelId, Env, Secret, TenantId,
    gateway::{Gateway, Recovered},
    store::RedbStore,
};

use crate::{
    args::{Args, Mode},
    desk::Desk,
    shop::Shop,
    skills,
};

/// The tenant of the whole desk.
pub(crate) const TENANT: &str = "shop";
/// The HTTP channel's name, in `channel_id`.
pub(crate) const HTTP: &str = "web";
/// The source of signed requests: `POST /hooks/partner`.
pub(crate) const SOURCE: &str = "partner";
/// The file with the secret that signed requests are made with.
pub(crate) const SECRET: &str = "hook.secret";

/// Runs the desk until Ctrl-C.
pub(crate) async fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let env = Env::system();
    let data = &args.data;
    fs::create_dir_all(data).map_err(|e| told(data, "can't be made", &e))?;
    let store = RedbStore::open(data.join("store.redb"), env.clock())?;
    let secret = secret(&env, data)?;

    let book = data.join("shop.jsonl");
    let mut shop = Shop::open(&book).map_err(|e| told(&book, "can't be opened", &e))?;
    if args.mode == Mode::Tested {
        shop = shop.with_test_switches();
    }
    let (shop_at, shop) = shop.serve(loopback(0)).await?;

    let desk = Desk::new("desk")?;
    let web = HttpChannel::builder(ChannelId::new(HTTP)?)
        .tenant(TenantId::new(TENANT)?)
        .agents([openclaw_core::agent::Agent::id(&desk).clone()])
        .hook(Hook::new(SOURCE, secret))
        .env(env.clone())
        .build()?;
    let terminal = TerminalChannel::stdio(ChannelId::new("terminal")?, TenantId::new(TENANT)?);
    let mut builder =
        Gateway::builder(env, store).channel(web.clone()).channel(terminal).agent(desk);
    // The shop is on this machine: a client that talks to the world needs no such word.
    let client = GuardedHttp::builder().policy(EgressPolicy::loopback()).build()?;
    for skill in skills::skills(Arc::new(client), shop_at)? {
        builder = builder.skill(skill);
    }
    let gateway = builder.start().await?;
    let server = web.serve(loopback(args.port), gateway.clone()).await?;
    greet(server.local_addr(), shop_at, data, gateway.recovered());

    tokio::signal::ctrl_c().await?;
    println!("\nstopping: finishing what is on hand");
    server.shutdown().await;
    let drained = gateway.drain(Duration::from_secs(10)).await;
    shop.stop().await;
    Ok(drained?)
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn told(path: &Path, what: &str, e: &std::io::Error) -> String {
    format!("{} {what}: {e}; choose another directory with --data DIR", path.display())
}

/// The secret of signed requests: made once, readable by its owner alone.
fn secret(env: &Env, data: &Path) -> Result<Secret, Box<dyn Error>> {
    let path: PathBuf = data.join(SECRET);
    if !path.exists() {
        let text: String = (0..4).map(|_| format!("{:016x}", env.next_u64())).collect();
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|e| told(&path, "can't be made", &e))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|e| told(&path, "can't be written", &e))?;
    }
    let text = fs::read_to_string(&path).map_err(|e| told(&path, "can't be read", &e))?;
    Ok(Secret::new(text.trim()))
}

/// Says what was recovered and what to try.
fn greet(web: SocketAddr, shop: SocketAddr, data: &Path, recovered: &Recovered) {
    println!(
        "support desk on http://{web}, shop on http://{shop}, everything kept in {}",
        data.display()
    );
    if recovered.is_empty() {
        println!("recovered: nothing was left to do");
    } else {
        println!(
            "recovered: {} message(s) to answer, {} reply(ies) to deliver ({} in doubt), {} waiting turn(s)",
            recovered.turns, recovered.replies, recovered.in_doubt, recovered.waiting
        );
    }
    println!(
        r#"
Type here, for example:   where is order 1042?     refund order 1042     help
Or from another terminal:

  curl -s 'http://{web}/v1/messages?wait=5000' -H 'content-type: application/json' \
    -H 'idempotency-key: my-first-refund' \
    -d '{{"channel_id":"{HTTP}","payload":"refund order 1043"}}'

Or signed, as a webhook:

  body='{{"text":"where is order 1041?"}}'; ts=$(date +%s); nonce=$(openssl rand -hex 16)
  sig=$(printf 'v1.%s.%s.%s' "$ts" "$nonce" "$body" \
    | openssl dgst -sha256 -hmac "$(cat {secret})" -r | cut -d' ' -f1)
  curl -s http://{web}/hooks/{SOURCE} -H "x-openclaw-timestamp: $ts" -H "x-openclaw-nonce: $nonce" \
    -H "x-openclaw-signature: v1=$sig" -d "$body"

Then kill it with -9 at any moment and start it again. Ctrl-C stops it gracefully."#,
        secret = data.join(SECRET).display()
    );
}
