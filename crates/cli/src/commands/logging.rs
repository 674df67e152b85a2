//! What the service tells its operator: structured lines on standard error, without any content.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Which lines are told when `RECTO_LOG` does not say.
const DEFAULT: &str = "warn,recto=info,recto_service=info,recto_web=info";

/// Begins to tell. Once per process; a second time changes nothing.
pub fn begin(json: bool) {
    let filter = EnvFilter::try_from_env("RECTO_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let told = match json {
        true => tracing_subscriber::registry()
            .with(filter)
            .with(lines.json())
            .try_init(),
        false => tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init(),
    };
    // Somebody tells already.
    let _ = told;
}
