//! `wardround-site run`: the agent.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use wardround_core::clock::SystemClock;
use wardround_net::client::Endpoint;
use wardround_net::telemetry;
use wardround_net::transfer::{ChunkStore, Limits};
use wardround_proto::payload::RAW_LIMIT;

use super::failure::{Exit, Failure};
use super::os;
use super::site::{HomeArgument, door, identity};
use crate::agent::{Agent, Ended};
use crate::answer::{AnswerStore, LocalDesk, Worker};
use crate::config::SiteConfig;
use crate::features::{Imaging, settle};

/// Threads for the network. There is one connection.
const NETWORK_THREADS: usize = 2;

/// Run the agent: wait for work and do it, until it is asked to stop
///
/// Dials out to the coordinator, and again for ever when the link is lost. Logs to standard error;
/// WARDROUND_LOG decides how much.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// How a log line looks: text or json
    #[arg(long, value_name = "FORMAT", default_value_t)]
    log_format: telemetry::Format,
}

impl Run {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        os::hand_memory_back();
        telemetry::init(self.log_format, "info").map_err(Failure::bad_input)?;
        let home = at.home()?;
        let config = SiteConfig::load(&home)?;
        let (wallet, enrolled, me) = identity(&home)?;
        home.create().map_err(|error| {
            Failure::internal(format!("can't make {}: {error}", home.folder().display()))
        })?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::internal(format!("this program's own file: {error}")))?;
        let threads = config.data.image_threads.count();
        let device = settle(config.device);
        let (policy, origin) = (config.policy.clone(), config.data.origin);
        let address = config.coordinator.address.clone();

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(NETWORK_THREADS)
            .enable_all()
            .build()
            .map_err(Failure::internal)?;
        let ended: Result<Ended, Failure> = runtime.block_on(async {
            let channel = Endpoint::enrolled(address.clone(), &enrolled).connect_lazy();
            let egress = door(&home, policy.clone(), channel)?;
            let questions = Limits { payload: RAW_LIMIT, total: RAW_LIMIT.saturating_mul(2) };
            let questions = ChunkStore::open(home.cache().join("questions"), questions)
                .map_err(Failure::internal)?;
            let desk = LocalDesk::new(home.clone(), config, me.clone(), device.clone(), origin)
                .with_imaging(Imaging::Child { program, threads });
            let (worker, reports) = Worker::start(me.clone(), policy, AnswerStore::new(home), desk)
                .map_err(Failure::internal)?;
            tracing::info!(site = %me, coordinator = %address, device = device.engine, "the agent runs");
            let (clock, device) = (Arc::new(SystemClock), device.engine);
            let agent =
                Agent { egress, worker, reports, questions, wallet, enrolled, clock, device };
            Ok(crate::agent::run(agent, async {
                if let Err(error) = os::asked_to_stop().await {
                    tracing::warn!(%error, "signals can't be heard");
                    std::future::pending::<()>().await;
                }
            })
            .await)
        });
        // A job that is under way is dropped; what it finished is on the disk.
        runtime.shutdown_timeout(Duration::from_secs(1));
        match ended? {
            Ended::Asked => {
                tracing::info!("stopped");
                Ok(Exit::Done)
            }
            Ended::Lasting(why) => Err(Failure::connection(why)),
        }
    }
}
