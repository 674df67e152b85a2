//! The programs that the tests need: found, or installed, or named with the command that installs
//! them.

use std::fs;
use std::process::Command;

use anyhow::bail;

use crate::steps::{answer, perform};

/// A program, how to ask for its version, and the oldest version that will do.
struct Tool {
    name: &'static str,
    question: &'static [&'static str],
    oldest: (u32, u32),
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "git",
        question: &["git", "--version"],
        oldest: (2, 30),
    },
    Tool {
        name: "bash",
        question: &["bash", "--version"],
        oldest: (4, 0),
    },
    // Debian ships `venv` apart from Python, and without `ensurepip` a venv gets no pip.
    Tool {
        name: "python3",
        question: &["python3", "-c", PYTHON_VERSION],
        oldest: (3, 9),
    },
    Tool {
        name: "node",
        question: &["node", "--version"],
        oldest: (18, 0),
    },
    Tool {
        name: "npm",
        question: &["npm", "--version"],
        oldest: (8, 0),
    },
    Tool {
        name: "strace",
        question: &["strace", "--version"],
        oldest: (0, 0),
    },
    // A backend of cells, tested wherever the tests run.
    Tool {
        name: "runsc",
        question: &["runsc", "--version"],
        oldest: (0, 0),
    },
    Tool {
        name: "setpriv",
        question: &["setpriv", "--version"],
        oldest: (0, 0),
    },
    // The server: a cell's service in the tests. Its programs are seldom on the PATH.
    Tool {
        name: "postgresql",
        question: &["sh", "-c", POSTGRES_VERSION],
        oldest: (12, 0),
    },
];

const POSTGRES_VERSION: &str = "PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1); \
                                psql --version && initdb --version";

const PYTHON_VERSION: &str =
    "import sys, venv, ensurepip; print('{}.{}'.format(*sys.version_info))";

/// A package manager: the identifiers of `os-release` that mean it, its command, its package names.
struct Manager {
    systems: &'static [&'static str],
    install: &'static str,
    packages: fn(&str) -> &'static str,
}

const APT: &str = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
                   --no-install-recommends";

const MANAGERS: &[Manager] = &[
    Manager {
        systems: &["debian", "ubuntu"],
        install: APT,
        packages: debian_packages,
    },
    Manager {
        systems: &["fedora", "rhel"],
        install: "dnf install -y",
        packages: fedora_packages,
    },
    Manager {
        systems: &["arch"],
        install: "pacman -S --needed",
        packages: arch_packages,
    },
    Manager {
        systems: &["alpine"],
        install: "apk add",
        packages: alpine_packages,
    },
];

/// Makes sure that every tool is there.
pub(super) fn ensure() -> anyhow::Result<()> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let manager = manager(&release);
    let mut lacking = lacking(&ask);
    if manager.is_none_or(|manager| manager.install != APT) {
        // Nobody else packages it; without it the tests of that backend say that they are skipped.
        lacking.retain(|lack| lack.name != "runsc");
    }
    if lacking.is_empty() {
        println!(
            "all found: {}",
            TOOLS
                .iter()
                .map(|tool| tool.name)
                .collect::<Vec<_>>()
                .join(" ")
        );
        return Ok(());
    }
    let complaint = complaint(&lacking);
    let Some(manager) = manager else {
        bail!("{complaint}\ninstall them with this system's package manager");
    };
    let line = install_line(manager, &lacking);
    let is_root = answer("id", &["-u"]).as_deref() == Some("0");
    if manager.install != APT || !is_root {
        bail!("{complaint}\ninstall them as root:\n\n    {line}\n");
    }
    println!("{complaint}");
    perform(Command::new("sh").args(["-c", &line]))?;
    conclude(&self::lacking(&ask))
}

/// What is still lacking after an installation is too old in the distribution.
fn conclude(lacking: &[Lack]) -> anyhow::Result<()> {
    if lacking.is_empty() {
        return Ok(());
    }
    bail!(
        "{}\nthis system's packages did not bring it; install it by hand",
        complaint(lacking)
    )
}

/// A tool that is missing, or older than needed.
#[derive(Debug, PartialEq)]
struct Lack {
    name: &'static str,
    needed: (u32, u32),
    found: Option<(u32, u32)>,
}

fn lacking(ask: &dyn Fn(&[&str]) -> Option<String>) -> Vec<Lack> {
    let found = TOOLS
        .iter()
        .map(|tool| (tool, ask(tool.question).map(|text| version(&text))));
    found
        .filter(|(tool, found)| found.is_none_or(|found| found < tool.oldest))
        .map(|(tool, found)| Lack {
            name: tool.name,
            needed: tool.oldest,
            found,
        })
        .collect()
}

fn ask(question: &[&str]) -> Option<String> {
    let (program, arguments) = question.split_first()?;
    answer(program, arguments)
}

/// The first `major.minor` of a text; 0.0 when there is none, for tools whose version nobody minds.
fn version(text: &str) -> (u32, u32) {
    let words = text.split(|each: char| !(each.is_ascii_digit() || each == '.'));
    words
        .filter_map(|word| {
            let mut numbers = word.split('.');
            Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        })
        .next()
        .unwrap_or((0, 0))
}

fn complaint(lacking: &[Lack]) -> String {
    let lines = lacking.iter().map(|lack| {
        let (major, minor) = lack.needed;
        let needed = if lack.needed == (0, 0) {
            String::new()
        } else {
            format!(" {major}.{minor}")
        };
        match lack.found {
            Some((major, minor)) => {
                format!(
                    "{}{needed} is needed, {major}.{minor} is installed",
                    lack.name
                )
            }
            None => format!("{}{needed} is needed and missing", lack.name),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn manager(os_release: &str) -> Option<&'static Manager> {
    let systems = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace());
    let systems: Vec<&str> = systems.collect();
    MANAGERS
        .iter()
        .find(|manager| manager.systems.iter().any(|name| systems.contains(name)))
}

fn install_line(manager: &Manager, lacking: &[Lack]) -> String {
    let mut packages: Vec<&str> = lacking
        .iter()
        .flat_map(|lack| (manager.packages)(lack.name).split(' '))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    format!("{} {}", manager.install, packages.join(" "))
}

fn debian_packages(tool: &str) -> &'static str {
    match tool {
        "git" => "git",
        "bash" => "bash",
        "python3" => "python3 python3-venv",
        "node" => "nodejs",
        "npm" => "nodejs npm",
        "strace" => "strace",
        "postgresql" => "postgresql postgresql-client",
        "runsc" => "runsc",
        _ => "util-linux",
    }
}

fn fedora_packages(tool: &str) -> &'static str {
    match tool {
        "python3" => "python3",
        "npm" => "nodejs-npm",
        "postgresql" => "postgresql-server postgresql",
        other => debian_packages(other),
    }
}

fn arch_packages(tool: &str) -> &'static str {
    match tool {
        "python3" => "python",
        "postgresql" => "postgresql",
        other => debian_packages(other),
    }
}

fn alpine_packages(tool: &str) -> &'static str {
    match tool {
        "python3" => "python3",
        "setpriv" => "setpriv",
        other => debian_packages(other),
    }
}

#[cfg(test)]
mod tests {
    use super::{Lack, complaint, conclude, install_line, lacking, manager, version};

    const NODE: Lack = Lack {
        name: "node",
        needed: (18, 0),
        found: Some((12, 22)),
    };
    const PYTHON: Lack = Lack {
        name: "python3",
        needed: (3, 9),
        found: None,
    };

    #[test]
    fn missing_and_old_tools_are_told_apart() {
        let machine = |question: &[&str]| match question[0] {
            "python3" => None,
            "node" => Some("v12.22.9".to_owned()),
            "npm" => Some("10.2.4".to_owned()),
            _ => Some("version 99.1".to_owned()),
        };
        let found = lacking(&machine);
        assert_eq!(found, [PYTHON, NODE]);
        let expected = "python3 3.9 is needed and missing\nnode 18.0 is needed, 12.22 is installed";
        assert_eq!(complaint(&found), expected);
    }

    #[test]
    fn versions_are_found_in_what_tools_print() {
        assert_eq!(version("git version 2.39.5 (Apple Git-154)"), (2, 39));
        assert_eq!(version("GNU bash, version 5.2.15(1)-release"), (5, 2));
        assert_eq!(version("v20.20.2"), (20, 20));
        assert_eq!(version("3.10"), (3, 10));
        assert_eq!(version("setpriv from util-linux"), (0, 0));
    }

    #[test]
    fn the_line_to_run_fits_the_system() {
        let line = |release: &str| manager(release).map(|it| install_line(it, &[NODE, PYTHON]));
        assert_eq!(
            line("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").as_deref(),
            Some(
                "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
                 --no-install-recommends nodejs python3 python3-venv"
            )
        );
        assert_eq!(
            line("ID=fedora").as_deref(),
            Some("dnf install -y nodejs python3")
        );
        assert_eq!(line("VERSION_ID=debian\nID=plan9"), None);
    }

    #[test]
    fn a_tool_that_stays_too_old_fails() {
        assert!(conclude(&[]).is_ok());
        assert!(
            conclude(&[NODE])
                .unwrap_err()
                .to_string()
                .starts_with("node 18.0 is needed")
        );
    }
}
