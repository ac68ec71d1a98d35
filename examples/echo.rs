//! An echo bot: type a line, read it back, end with Ctrl-D.

use std::{error::Error, time::Duration};

use openclaw_channels::terminal::TerminalChannel;
use openclaw_core::{
    AgentId, ChannelId, Env, TenantId,
    agent::{Answer, agent_fn},
    gateway::Gateway,
    store::MemoryStore,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let env = Env::system();
    let terminal = TerminalChannel::stdio(ChannelId::new("terminal")?, TenantId::new("me")?);
    let echo =
        agent_fn(AgentId::new("echo")?, |turn| async move { Ok(Answer::text(&*turn.text())) });
    let store = MemoryStore::new(env.clock());
    let gateway = Gateway::builder(env, store).channel(terminal).agent(echo).start().await?;
    gateway.ended().await;
    Ok(gateway.drain(Duration::from_secs(5)).await?)
}
