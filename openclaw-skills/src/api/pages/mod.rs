//! Lists that come in pages, read as one.

mod link;
mod paging;
mod stream;

pub use self::{
    paging::Paging,
    stream::{Listing, PageLimits, Pages, Truncated},
};
