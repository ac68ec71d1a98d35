//! Random sequences of operations mean the same as in `MemoryStore`, across restarts too.

use openclaw_core::store::SharedStore;
use proptest::prelude::*;

use super::*;
use crate::model::{compare, plans};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redb_means_what_memory_means(plan in plans()) {
        let bench = Bench::new();
        compare(&plan, &bench.clock, &|| Arc::new(bench.open()) as SharedStore);
    }
}
