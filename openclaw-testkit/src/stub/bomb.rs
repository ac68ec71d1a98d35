//! A small body that unpacks to a large one.

use std::io::{self, Write as _};

use flate2::{Compression, write::GzEncoder};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::answer::{LAST_CHUNK, chunk};

/// Zeros that are packed at a time.
const BLOCK: u64 = 256 * 1024;

/// Writes a chunked gzip body of so many zeros, holding little of it at a time.
pub(super) async fn write<W>(to: &mut W, decompressed_bytes: u64) -> io::Result<()>
where
    W: AsyncWrite + Unpin + Send,
{
    let zeros = vec![0_u8; usize::try_from(BLOCK).unwrap_or(usize::MAX)];
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    let mut left = decompressed_bytes;
    while left > 0 {
        let block = left.min(BLOCK);
        packer.write_all(zeros.get(..usize::try_from(block).unwrap_or(0)).unwrap_or(&zeros))?;
        left -= block;
        let packed = std::mem::take(packer.get_mut());
        if !packed.is_empty() {
            to.write_all(&chunk(&packed)).await?;
        }
        tokio::task::yield_now().await;
    }
    let rest = packer.finish()?;
    to.write_all(&[chunk(&rest).as_slice(), LAST_CHUNK].concat()).await
}
