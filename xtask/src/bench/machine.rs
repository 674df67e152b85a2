//! What the figures were taken on.

use std::fs;

use serde_json::{Value, json};

/// Above this something else runs, and figures can only be compared with each other.
const QUIET: f64 = 0.5;

/// The machine before anything was started.
pub(super) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    load: f64,
}

impl Machine {
    pub(super) fn look() -> Self {
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: processor(),
            kernel: read("/proc/sys/kernel/osrelease"),
            load: load.parse().unwrap_or(f64::NAN),
        }
    }

    /// One line, and a second one when the machine isn't quiet.
    pub(super) fn line(&self, file_system: &str) -> String {
        let Self {
            cores,
            processor,
            kernel,
            load,
        } = self;
        let mut text = format!(
            "machine: {cores} cores ({processor}), Linux {kernel}, files on {file_system}, load average {load}"
        );
        if *load > QUIET {
            text.push_str(&format!(
                "\nwarning: the load average was {load} before the start: compare columns, not figures"
            ));
        }
        text
    }

    pub(super) fn json(&self, file_system: &str) -> Value {
        json!({
            "cores": self.cores, "processor": self.processor, "kernel": self.kernel,
            "file_system": file_system, "load_average": self.load,
        })
    }
}

fn processor() -> String {
    let text = read("/proc/cpuinfo");
    let model = text.lines().find(|line| line.starts_with("model name"));
    let name = model.and_then(|line| line.split_once(": "));
    name.map_or("unknown processor", |(_, name)| name)
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
