//! Errors: what they say, and what they keep to themselves.

use std::{error::Error as _, time::Duration};

use openclaw_core::{
    ChannelId, Content, Conversation, Envelope, Error, ErrorKind, Happened, OrFail, Secret, Sender,
    TenantId,
    store::{Entry, Key, Op, StoreError, Txn, TxnId, Version},
};

const CANARY: &str = "tok-canary-4711";

const KINDS: [ErrorKind; 16] = [
    ErrorKind::RateLimited,
    ErrorKind::NotFound,
    ErrorKind::AuthenticationFailed,
    ErrorKind::PermissionDenied,
    ErrorKind::ValidationError,
    ErrorKind::Conflict,
    ErrorKind::Timeout,
    ErrorKind::Unavailable,
    ErrorKind::ServerError,
    ErrorKind::CircuitOpen,
    ErrorKind::Overloaded,
    ErrorKind::ApprovalRequired,
    ErrorKind::Duplicate,
    ErrorKind::Cancelled,
    ErrorKind::Unsupported,
    ErrorKind::Unclassified,
];

#[test]
fn a_foreign_text_stays_out_of_the_message() {
    let failed: Result<(), _> = Err(std::io::Error::other(CANARY));
    let e = failed.or_fail(ErrorKind::Unavailable).unwrap_err();
    assert!(!e.to_string().contains(CANARY) && !e.public().contains(CANARY));
    assert_eq!(e.source().unwrap().to_string(), CANARY, "for those who ask for the cause");
}

#[test]
fn a_stranger_reads_nothing_that_was_meant_for_operators() {
    for kind in KINDS {
        let e = Error::new(kind, CANARY).with("where", CANARY).with_source(CANARY);
        assert!(!e.public().contains(CANARY), "{kind}");
        assert!(!e.public().is_empty());
    }
    let told = Error::new(ErrorKind::NotFound, CANARY).with_public("no such order");
    assert_eq!(told.public(), "no such order");
}

#[test]
fn no_payload_is_shown_by_debug() {
    let chat = Conversation::new(ChannelId::new("web").unwrap(), "c1");
    let content = Content::text(CANARY);
    let envelope =
        Envelope::new(TenantId::new("acme").unwrap(), chat, Sender::new("ann"), content.clone())
            .with_header("authorization", CANARY)
            .with_raw(CANARY.into());
    let key = Key::system("t").build();
    let txn = Txn::new("t").op(Op::put(key, CANARY));
    let entry = Entry::new(CANARY.into(), Version::new(1));
    let json = Content::json(serde_json::json!({"token": CANARY}));
    let shown = [
        format!("{envelope:?}"),
        format!("{content:?} {json:?}"),
        format!("{txn:?}"),
        format!("{entry:?}"),
        format!("{:?}", Secret::new(CANARY)),
    ];
    assert!(shown.iter().all(|text| !text.contains(CANARY)), "{shown:?}");
}

#[test]
fn the_effect_of_a_lifted_error_is_what_the_caller_said() {
    let lift = || Err::<(), _>(std::io::Error::other("x"));
    for kind in KINDS {
        let maybe = lift().or_fail(kind).unwrap_err();
        let no = lift().before_send(kind).unwrap_err();
        assert_eq!((maybe.kind(), maybe.happened()), (kind, Happened::Maybe));
        assert_eq!((no.kind(), no.happened()), (kind, Happened::No));
    }
}

#[test]
fn a_code_is_the_same_in_every_notation() {
    for kind in KINDS {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.code());
        assert_eq!(kind.to_string(), kind.code());
        let first = Error::new(kind, "x").to_string();
        assert_eq!(first, format!("{}: x", kind.code()));
    }
}

#[test]
fn only_what_surely_did_not_happen_is_safe_to_retry() {
    let busy = || Error::new(ErrorKind::Unavailable, "x");
    assert!(!busy().is_safe_to_retry(), "nobody knows yet");
    assert!(busy().with_happened(Happened::No).is_safe_to_retry());
    assert!(!busy().with_happened(Happened::Yes).is_safe_to_retry());
    assert!(!busy().with_happened(Happened::No).exhausted().is_safe_to_retry());
    assert!(!Error::new(ErrorKind::NotFound, "x").is_safe_to_retry());
    let throttled =
        Error::new(ErrorKind::RateLimited, "x").with_retry_after(Duration::from_secs(9));
    assert!(throttled.is_safe_to_retry());
    assert_eq!(throttled.retry_after(), Some(Duration::from_secs(9)));
}

#[test]
fn context_pairs_keep_their_order() {
    let e = Error::new(ErrorKind::Conflict, "taken").with("order", 7).with("by", "ann");
    assert_eq!(e.to_string(), "CONFLICT: taken (order=7, by=ann)");
    assert_eq!(e.context().collect::<Vec<_>>(), [("order", "7"), ("by", "ann")]);
}

#[test]
fn a_store_that_did_not_answer_may_have_committed() {
    let unknown = Error::from(StoreError::OutcomeUnknown(TxnId::new(7)));
    assert_eq!(unknown.happened(), Happened::Maybe);
    let refused = [
        StoreError::Unavailable("x".into()),
        StoreError::Full("x".into()),
        StoreError::Closed("x".into()),
        StoreError::Unsupported("x".to_owned()),
        StoreError::TooLarge { what: "key", size: 2, limit: 1 },
    ];
    for e in refused {
        assert_eq!(Error::from(e.clone()).happened(), Happened::No, "{e}");
    }
}
