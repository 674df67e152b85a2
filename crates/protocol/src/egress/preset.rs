//! Named lists of rules for what builds fetch from.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::text::RuleError;

/// A named list of rules. Names are stable; what they stand for follows the services.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// crates.io and the toolchain's downloads.
    Rust,
    /// PyPI.
    Python,
    /// The npm registry, and yarn's name for it.
    Npm,
    /// Node's own downloads.
    Node,
    /// Go's module proxy, checksum database and downloads.
    Go,
    /// Maven Central.
    Maven,
    /// Gradle's downloads and its plugin portal.
    Gradle,
    /// Debian's archives.
    Debian,
    /// Ubuntu's archives.
    Ubuntu,
    /// Alpine's archives.
    Alpine,
    /// RubyGems.
    Rubygems,
    /// Packagist, for PHP.
    Packagist,
    /// NuGet, for .NET.
    Nuget,
    /// Reading from GitHub, git clones included.
    GithubReadonly,
}

/// Where the same host takes uploads, only reading is allowed. Where it does not, nothing is
/// limited, so that TLS stays closed and programs with trust stores of their own work.
const PRESETS: &[(Preset, &str, &[&str])] = &[
    (
        Preset::Rust,
        "rust",
        &[
            "https://index.crates.io",
            "https://static.crates.io",
            "GET,HEAD https://crates.io/api/v1/crates/*",
            "https://static.rust-lang.org",
        ],
    ),
    (
        Preset::Python,
        "python",
        &["https://pypi.org", "https://files.pythonhosted.org"],
    ),
    (
        Preset::Npm,
        "npm",
        &[
            "GET,HEAD https://registry.npmjs.org",
            "GET,HEAD https://registry.yarnpkg.com",
        ],
    ),
    (Preset::Node, "node", &["https://nodejs.org"]),
    (
        Preset::Go,
        "go",
        &[
            "https://proxy.golang.org",
            "https://sum.golang.org",
            "https://go.dev",
            "https://dl.google.com",
        ],
    ),
    (
        Preset::Maven,
        "maven",
        &["https://repo.maven.apache.org", "https://repo1.maven.org"],
    ),
    (
        Preset::Gradle,
        "gradle",
        &[
            "https://services.gradle.org",
            "https://downloads.gradle.org",
            "https://plugins.gradle.org",
            "https://plugins-artifacts.gradle.org",
        ],
    ),
    (
        Preset::Debian,
        "debian",
        &["deb.debian.org", "security.debian.org"],
    ),
    (
        Preset::Ubuntu,
        "ubuntu",
        &[
            "archive.ubuntu.com",
            "*.archive.ubuntu.com",
            "security.ubuntu.com",
            "ports.ubuntu.com",
        ],
    ),
    (Preset::Alpine, "alpine", &["dl-cdn.alpinelinux.org"]),
    (
        Preset::Rubygems,
        "rubygems",
        &[
            "GET,HEAD https://rubygems.org",
            "https://index.rubygems.org",
        ],
    ),
    (
        Preset::Packagist,
        "packagist",
        &["https://repo.packagist.org"],
    ),
    (
        Preset::Nuget,
        "nuget",
        &["https://api.nuget.org", "https://globalcdn.nuget.org"],
    ),
    (
        Preset::GithubReadonly,
        "github-readonly",
        &[
            "GET,HEAD https://github.com",
            "POST https://github.com/*/*/git-upload-pack",
            "GET,HEAD https://api.github.com",
            "GET,HEAD https://codeload.github.com",
            "GET,HEAD https://raw.githubusercontent.com",
            "GET,HEAD https://objects.githubusercontent.com",
            "GET,HEAD https://release-assets.githubusercontent.com",
        ],
    ),
];

impl Preset {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        PRESETS.iter().map(|(preset, ..)| *preset)
    }

    /// Its name in configuration and events.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it stands for.
    pub fn rules(self) -> Vec<Rule> {
        // A test holds that each of them is a rule.
        let texts = self.row().2.iter();
        texts.filter_map(|text| text.parse().ok()).collect()
    }

    /// The texts of its rules.
    pub fn texts(self) -> &'static [&'static str] {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, &'static [&'static str]) {
        // In the order of the variants: a test holds that too.
        &PRESETS[self as usize]
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = RuleError;

    fn from_str(name: &str) -> Result<Self, RuleError> {
        Self::all()
            .find(|preset| preset.name() == name)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::all().map(Self::name).collect();
                RuleError::Preset {
                    name: name.to_owned(),
                    known: known.join(", "),
                }
            })
    }
}
