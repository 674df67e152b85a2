//! Small projects, one for each package manager.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::bench::git;

/// The smallest published packages that do something, at versions that stay.
const REQUIREMENTS: &str = "six==1.16.0\n";
const PACKAGE: &str = r#"{"name": "project", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}}"#;
const LOCK: &str = r#"{
  "name": "project", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
  "packages": {
    "": {"name": "project", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}},
    "node_modules/ms": {
      "version": "2.1.3",
      "integrity": "sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA=="
    }
  }
}
"#;
const MANIFEST: &str = "[package]\nname = \"project\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                        [dependencies]\nitoa = \"=1.0.11\"\n[workspace]\n";

/// A directory with the projects and a home; removed when dropped, unless kept.
pub(super) struct Project {
    root: PathBuf,
    is_kept: bool,
}

impl Project {
    pub(super) fn make() -> anyhow::Result<Self> {
        let root = std::env::temp_dir().join(format!("recto-real-use-{}", std::process::id()));
        let project = Self {
            root,
            is_kept: false,
        };
        let tree = project.tree();
        let files = [
            ("requirements.txt", REQUIREMENTS),
            ("package.json", PACKAGE),
            ("package-lock.json", LOCK),
            ("Cargo.toml", MANIFEST),
            ("src/lib.rs", ""),
        ];
        for (name, text) in files {
            let path = tree.join(name);
            let parent = path.parent().context("a file lies in a directory")?;
            fs::create_dir_all(parent)
                .with_context(|| format!("could not make {}", parent.display()))?;
            fs::write(path, text)?;
        }
        for directory in [project.home(), project.root.join("layers")] {
            fs::create_dir_all(directory)?;
        }
        git(&tree, &["init", "--quiet", "--initial-branch=main"])?;
        git(&tree, &["add", "--all"])?;
        git(&tree, &["commit", "--quiet", "--message=begin"])?;
        Ok(project)
    }

    /// The repository.
    pub(super) fn tree(&self) -> PathBuf {
        self.root.join("project")
    }

    /// The program's own directory.
    pub(super) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Where a case keeps the system packages that it installs.
    pub(super) fn layer(&self, name: &str) -> PathBuf {
        self.root.join("layers").join(name)
    }

    pub(super) fn keep(mut self) -> PathBuf {
        self.is_kept = true;
        self.root.clone()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_dir_all(Path::new(&self.root));
        }
    }
}
