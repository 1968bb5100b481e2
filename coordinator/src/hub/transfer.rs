//! Payloads in chunks: queries down to the sites that are asked, answers up from them.

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_net::transfer::{Bytes, CHUNK_BYTES};
use wardround_proto::payload::PayloadHead;
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use super::{Hub, PAYLOAD_LIMIT, internal};

impl Hub {
    /// A piece of a query that is asked of the site.
    ///
    /// # Errors
    /// No such payload for this site, or no such piece.
    pub async fn chunk(
        &self,
        site: &SiteId,
        request: v1::GetChunkRequest,
    ) -> Result<v1::Chunk, Problem> {
        let digest = digest_of(&request.digest)?;
        let Some(packed) = self.outgoing(site, &digest) else {
            let what = format!("no payload {digest} is waiting for {site}");
            return Err(Problem::new(ProblemCode::NotFound, what));
        };
        let start = u64::from(request.index) * CHUNK_BYTES;
        let end = (start + CHUNK_BYTES).min(packed.bytes.len() as u64);
        if start >= end {
            let what = format!("payload {digest} has no piece {}", request.index);
            return Err(Problem::new(ProblemCode::BadInput, what));
        }
        Ok(v1::Chunk {
            digest: request.digest,
            size: packed.bytes.len() as u64,
            index: request.index,
            data: packed.bytes[start as usize..end as usize].to_vec(),
        })
    }

    /// Which pieces of a site's payload are still missing.
    ///
    /// # Errors
    /// Over the limit, or the folder can't be used.
    pub async fn missing(
        &self,
        _site: &SiteId,
        request: v1::MissingChunksRequest,
    ) -> Result<v1::MissingChunksReply, Problem> {
        let digest = digest_of(&request.digest)?;
        check_size(request.size)?;
        let missing = self.chunks.missing(digest, request.size).await.map_err(refused)?;
        Ok(v1::MissingChunksReply { missing })
    }

    /// Takes one piece of a site's payload.
    ///
    /// # Errors
    /// Over the limit, a piece that doesn't fit, or a folder that can't be used.
    pub async fn put(&self, _site: &SiteId, chunk: v1::Chunk) -> Result<(), Problem> {
        let digest = digest_of(&chunk.digest)?;
        check_size(chunk.size)?;
        let data = Bytes::from(chunk.data);
        self.chunks.put(digest, chunk.size, chunk.index, data).await.map_err(refused)?;
        Ok(())
    }

    /// A payload whose pieces all came.
    pub(super) async fn received(&self, head: &PayloadHead) -> Result<Vec<u8>, Problem> {
        let path = self.chunks.path(head.digest).map_err(|_| {
            let what =
                format!("payload {} isn't complete: bring its missing pieces first", head.digest);
            Problem::new(ProblemCode::Conflict, what)
        })?;
        tokio::fs::read(&path).await.map_err(internal)
    }
}

fn digest_of(bytes: &[u8]) -> Result<Digest, Problem> {
    Digest::try_from(bytes).map_err(|e| Problem::new(ProblemCode::BadInput, e.to_string()))
}

fn check_size(size: u64) -> Result<(), Problem> {
    if size <= PAYLOAD_LIMIT {
        return Ok(());
    }
    let what = format!("a payload of {size} bytes is over the limit of {PAYLOAD_LIMIT}");
    Err(Problem::new(ProblemCode::TooLarge, what))
}

fn refused(error: wardround_net::transfer::StoreError) -> Problem {
    Problem::from(&tonic::Status::from(error))
}
