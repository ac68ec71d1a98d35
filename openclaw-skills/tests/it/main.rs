//! What a host may rely on: skills, versions, APIs, secrets, credentials, SKILL.md.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that can't go on fails")]

mod api;
mod api_key;
mod bounds;
#[cfg(all(unix, feature = "exec"))]
mod canary;
mod compose;
mod descriptor;
mod desk;
mod evolution;
mod evolution_random;
mod hooked;
mod key_pair;
mod laws;
mod limits;
mod mtls;
mod oauth;
mod oauth_clocks;
mod oauth_hand_back;
mod oauth_kept;
mod oauth_server;
mod oauth_storm;
mod oauth_world;
mod offline;
mod output;
mod pins;
#[cfg(feature = "testkit")]
mod port_laws;
mod problems;
mod registry;
mod registry_gateway;
mod registry_support;
mod rollouts;
mod schema;
mod secrets;
mod skill_fn;
#[cfg(feature = "skill-md")]
mod skill_md;
mod source_laws;
mod suite;
mod support;
