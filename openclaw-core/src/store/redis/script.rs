//! The scripts, what they are given, and what they answer.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use redis::{Cmd, Script, Value};

use super::{address::Address, fault::full};
use crate::{
    Timestamp,
    traits::store::{
        Applied, Commit, Conflict, Entry, Guard, Key, Op, Page, ScanQuery, StoreError, Txn, Version,
    },
};

macro_rules! scripts {
    ($($name:ident: $($file:literal)+,)*) => {$(
        pub(super) static $name: LazyLock<Text> =
            LazyLock::new(|| Text::new(concat!($(include_str!($file), "\n"),+)));
    )*};
}

scripts! {
    OPEN: "open.lua",
    COMMIT: "shared.lua" "commit.lua",
    GET: "shared.lua" "get.lua",
    SCAN: "shared.lua" "scan.lua",
    SWEEP: "shared.lua" "sweep.lua",
    RAISE: "shared.lua" "raise.lua",
}

/// A script and its name on the server.
pub(super) struct Text {
    code: &'static str,
    hash: String,
}

impl Text {
    fn new(code: &'static str) -> Self {
        Self { code, hash: Script::new(code).get_hash().to_owned() }
    }
}

/// The keys of a store: all in one slot of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Keys([String; 4]);

impl Keys {
    pub(super) fn under(prefix: &str) -> Self {
        Self(["rows", "index", "due", "meta"].map(|name| format!("{{{prefix}}}:{name}")))
    }
}

/// A script with its arguments.
#[derive(Clone)]
pub(super) struct Call {
    text: &'static Text,
    keys: Keys,
    args: Vec<Bytes>,
}

impl Call {
    pub(super) fn new(text: &'static Text, keys: &Keys) -> Self {
        Self { text, keys: keys.clone(), args: Vec::new() }
    }

    /// What every script but `open` begins with: the clock, if any, and the latest time seen.
    pub(super) fn at(self, clock: Option<Timestamp>, seen: Timestamp) -> Self {
        let number = |at: Timestamp| at.as_millis().min(LATEST).to_string();
        self.text(&clock.map(number).unwrap_or_default()).text(&number(seen))
    }

    fn fixed(self, text: &'static str) -> Self {
        self.bytes(Bytes::from_static(text.as_bytes()))
    }

    fn text(self, text: &str) -> Self {
        self.bytes(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn number(self, n: usize) -> Self {
        self.text(&n.to_string())
    }

    fn bytes(mut self, bytes: Bytes) -> Self {
        self.args.push(bytes);
        self
    }

    fn key(self, key: &Key) -> Self {
        self.bytes(Bytes::copy_from_slice(key.as_bytes()))
    }

    /// By its name, or whole when the server has forgotten it.
    pub(super) fn command(&self, whole: bool) -> Cmd {
        let size = self.args.iter().map(Bytes::len).sum();
        let mut cmd = Cmd::with_capacity(self.args.len() + 7, size);
        if whole {
            cmd.arg("EVAL").arg(self.text.code);
        } else {
            cmd.arg("EVALSHA").arg(&self.text.hash);
        }
        cmd.arg(self.keys.0.len()).arg(&self.keys.0);
        for arg in &self.args {
            cmd.arg(arg.as_ref());
        }
        cmd
    }

    pub(super) fn keys(self, keys: &[Key]) -> Self {
        keys.iter().fold(self, Self::key)
    }

    /// The bounds of a query as `ZRANGEBYLEX` takes them, and the bounds of the work.
    pub(super) fn query(self, query: &ScanQuery, most_bytes: usize, most_expired: usize) -> Self {
        let from = |sign: u8, bytes: &[u8]| Bytes::from([&[sign], bytes].concat());
        let (start, after) = (query.prefix.as_bytes(), query.after.as_ref().map(Key::as_bytes));
        let low = match after {
            Some(after) if !query.reverse && after >= start => from(b'(', after),
            _ => from(b'[', start),
        };
        let end = query.prefix.end();
        let high = match (after.filter(|_| query.reverse), end.as_deref()) {
            (Some(after), Some(end)) => from(b'(', after.min(end)),
            (Some(bytes), None) | (None, Some(bytes)) => from(b'(', bytes),
            (None, None) => Bytes::from_static(b"+"),
        };
        let backwards = if query.reverse { "1" } else { "" };
        let limit = query.limit.get().min(1 << 31);
        let call = self.bytes(low).bytes(high).fixed(backwards).number(limit);
        call.number(most_bytes).number(most_expired)
    }

    pub(super) fn limit(self, limit: usize) -> Self {
        self.number(limit)
    }

    pub(super) fn txns<'a>(self, txns: impl ExactSizeIterator<Item = &'a Txn>) -> Self {
        let call = self.number(txns.len());
        txns.fold(call, Self::txn)
    }

    /// The kinds of all guards and operations, then what each of them has.
    fn txn(self, txn: &Txn) -> Self {
        let mut kinds: String = txn.guards.iter().map(guard_kind).collect();
        kinds.push('|');
        kinds.extend(txn.ops.iter().map(op_kind));
        txn.ops.iter().fold(txn.guards.iter().fold(self.text(&kinds), Self::guard), Self::op)
    }

    fn guard(self, guard: &Guard) -> Self {
        let call = self.key(guard.key());
        match guard {
            Guard::Absent(_) | Guard::Exists(_) => call,
            Guard::VersionIs(_, version) => call.bytes(eight(version.get())),
        }
    }

    fn op(self, op: &Op) -> Self {
        match op {
            Op::Put { key, value, ttl } => self.key(key).life(*ttl).bytes(value.clone()),
            Op::Delete { key } => self.key(key),
            Op::Touch { key, ttl } => self.key(key).life(*ttl),
            Op::Append { prefix, value, ttl } => {
                let prefix = Bytes::copy_from_slice(prefix.as_bytes());
                self.bytes(prefix).life(*ttl).bytes(value.clone())
            }
            Op::Add { key, delta, bound, ttl } => {
                let (low, high) = bound.as_ref().map_or_else(
                    || (Bytes::new(), Bytes::new()),
                    |bound| (signed(*bound.start()), signed(*bound.end())),
                );
                self.key(key).life(*ttl).bytes(signed(*delta)).bytes(low).bytes(high)
            }
        }
    }

    fn life(self, ttl: Option<Duration>) -> Self {
        let millis = |ttl: Duration| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.bytes(ttl.map_or_else(Bytes::new, |ttl| eight(millis(ttl))))
    }
}

const fn guard_kind(guard: &Guard) -> char {
    match guard {
        Guard::Absent(_) => 'a',
        Guard::VersionIs(..) => 'v',
        Guard::Exists(_) => 'e',
    }
}

const fn op_kind(op: &Op) -> char {
    match op {
        Op::Put { .. } => 'P',
        Op::Delete { .. } => 'D',
        Op::Touch { .. } => 'T',
        Op::Append { .. } => 'A',
        Op::Add { .. } => '+',
    }
}

/// The latest time a script counts exactly: the year 287,396.
const LATEST: u64 = (1 << 53) - 1;

fn eight(n: u64) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

fn signed(n: i64) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

/// What a script answered, from its time on.
pub(super) struct Answer {
    pub(super) as_of: Timestamp,
    values: std::vec::IntoIter<Value>,
}

impl Answer {
    pub(super) fn read(value: Value) -> Result<Self, StoreError> {
        let Value::Array(values) = value else { return Err(strange()) };
        let mut values = values.into_iter();
        let as_of = Timestamp::from_millis(int(values.next().as_ref())?);
        Ok(Self { as_of, values })
    }

    /// Rows, absent ones too.
    pub(super) fn rows(self) -> Result<Vec<Option<Entry>>, StoreError> {
        self.values.map(row).collect()
    }

    /// A page; `None` when rows have to be cleared away first.
    pub(super) fn page(mut self) -> Result<Option<Page>, StoreError> {
        let more = match self.values.next() {
            Some(Value::Int(-1)) => return Ok(None),
            more => int(more.as_ref())? != 0,
        };
        let mut rows = Vec::with_capacity(self.values.len() / 2);
        while let Some(key) = self.values.next() {
            let (Value::BulkString(key), Some(found)) = (key, self.values.next()) else {
                return Err(strange());
            };
            rows.push((Key::from_bytes(key), row(found)?.ok_or_else(strange)?));
        }
        Ok(Some(Page::new(rows, more)))
    }

    /// A number.
    pub(super) fn count(mut self) -> Result<u64, StoreError> {
        int(self.values.next().as_ref())
    }

    /// The outcomes of transactions, in order.
    pub(super) fn outcomes(
        self,
        at: &Address,
    ) -> Result<Vec<Result<Commit, StoreError>>, StoreError> {
        let as_of = self.as_of;
        self.values.map(|value| outcome(at, as_of, value)).collect()
    }
}

type Outcome = Result<Commit, StoreError>;

fn outcome(at: &Address, as_of: Timestamp, value: Value) -> Result<Outcome, StoreError> {
    let Value::Array(values) = value else { return Err(strange()) };
    let mut values = values.into_iter();
    Ok(match int(values.next().as_ref())? {
        0 => {
            let failed = usize::try_from(int(values.next().as_ref())?).unwrap_or(usize::MAX);
            Ok(Commit::Conflict(Conflict::new(failed, row(values.next().unwrap_or_default())?)))
        }
        1 => {
            let version = Version::new(int(values.next().as_ref())?);
            let sums = values.map(sum).collect::<Result<_, _>>()?;
            Ok(Commit::Applied(Applied::new(version, as_of, sums)))
        }
        2 => Err(full(at)),
        _ => Err(StoreError::Full(format!("{at}: all 2^53 versions are used: start a new prefix"))),
    })
}

fn row(value: Value) -> Result<Option<Entry>, StoreError> {
    let bytes = match value {
        Value::Nil | Value::Boolean(false) => return Ok(None),
        Value::BulkString(bytes) => Bytes::from(bytes),
        _ => return Err(strange()),
    };
    let (version, rest) = bytes.split_first_chunk().ok_or_else(strange)?;
    let expires = rest.first_chunk().ok_or_else(strange)?;
    let expires = Timestamp::from_millis(u64::from_be_bytes(*expires));
    let entry = Entry::new(bytes.slice(16..), Version::new(u64::from_be_bytes(*version)));
    Ok(Some(entry.expiring((expires < Timestamp::MAX).then_some(expires))))
}

fn sum(value: Value) -> Result<i64, StoreError> {
    match value {
        Value::BulkString(bytes) => {
            bytes.first_chunk().map(|sum| i64::from_be_bytes(*sum)).ok_or_else(strange)
        }
        _ => Err(strange()),
    }
}

fn int(value: Option<&Value>) -> Result<u64, StoreError> {
    match value {
        Some(Value::Int(n)) if *n >= 0 => Ok(n.unsigned_abs()),
        _ => Err(strange()),
    }
}

fn strange() -> StoreError {
    StoreError::Corrupt("a script answered what it never answers".to_owned())
}
