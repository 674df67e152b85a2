//! Other sandboxes, as far as they are here: each runs `true` once, from nothing to its end.

use serde_json::json;

use super::driver::Driver;

/// A column of the table with the command lines that may do, best first.
pub(super) struct Peer {
    pub(super) name: &'static str,
    candidates: &'static [&'static [&'static str]],
}

/// The floor.
pub(super) const PLAIN: &str = "plain";

pub(super) const PEERS: &[Peer] = &[
    Peer {
        name: PLAIN,
        candidates: &[&["/bin/true"]],
    },
    // What namespaces cost by themselves, with nothing shown, hidden or refused in them.
    Peer {
        name: "unshare",
        candidates: &[&[
            "unshare",
            "--map-root-user",
            "--mount",
            "--pid",
            "--fork",
            "--net",
            "--ipc",
            "--uts",
            "--cgroup",
            "/bin/true",
        ]],
    },
    Peer {
        name: "bwrap",
        candidates: &[&[
            "bwrap",
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--ro-bind",
            "/",
            "/",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
            "--tmpfs",
            "/tmp",
            "/bin/true",
        ]],
    },
    Peer {
        name: "runsc do",
        candidates: &[
            &[
                "runsc",
                "--network=none",
                "--ignore-cgroups",
                "do",
                "/bin/true",
            ],
            &[
                "runsc",
                "--rootless",
                "--network=none",
                "--ignore-cgroups",
                "do",
                "/bin/true",
            ],
        ],
    },
    Peer {
        name: "codex",
        candidates: &[
            &[
                "codex",
                "sandbox",
                "-c",
                "sandbox_mode=\"workspace-write\"",
                "--",
                "/bin/true",
            ],
            &["codex", "sandbox", "linux", "--full-auto", "/bin/true"],
        ],
    },
];

impl Peer {
    /// The command line that works for a driver's user; also warms the caches.
    pub(super) fn find(&self, driver: &mut Driver) -> anyhow::Result<&'static [&'static str]> {
        let mut reason = anyhow::anyhow!("there is no way to run it");
        for argv in self.candidates {
            match driver.ask(&json!({"do": "spawn", "argv": argv})) {
                Ok(_) => return Ok(argv),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }
}
