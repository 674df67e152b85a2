//! The cases of `tests/fixtures`, and reports in their words.

use std::path::{Path, PathBuf};

use recto_evidence::report::{Failing, Outcome, TestReport, detect, junit};

/// One command of one runner.
pub(crate) struct Case {
    /// The directory of `fixtures`.
    pub(crate) runner: String,
    /// Its name there.
    pub(crate) name: String,
    /// The command line.
    pub(crate) run: String,
    /// Files of the project that must not be there.
    pub(crate) without: Vec<String>,
    /// A shell command that fails where the case can't be run.
    pub(crate) needs: Option<String>,
    /// Whether it takes too long to be run again and again.
    pub(crate) recorded_only: bool,
    table: toml::Table,
}

/// All cases of one runner, with the command that tells its version, and the project's directory.
pub(crate) struct Cases {
    /// A shell command that prints the version.
    pub(crate) probe: String,
    /// What is run on.
    pub(crate) project: PathBuf,
    /// The cases.
    pub(crate) cases: Vec<Case>,
}

/// The runners' directories.
pub(crate) fn runners() -> Vec<String> {
    let entries = std::fs::read_dir(fixtures()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

pub(crate) fn cases(runner: &str) -> Cases {
    let text = std::fs::read_to_string(fixtures().join(runner).join("cases.toml")).unwrap();
    let table: toml::Table = toml::from_str(&text).unwrap();
    let project = table
        .get("project")
        .map_or(runner, |name| name.as_str().unwrap());
    Cases {
        probe: table["probe"].as_str().unwrap().to_owned(),
        project: fixtures().join(project).join("project"),
        cases: table["case"]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| Case::of(runner, case))
            .collect(),
    }
}

impl Case {
    fn of(runner: &str, case: &toml::Value) -> Self {
        let table = case.as_table().unwrap().clone();
        Self {
            runner: runner.to_owned(),
            name: table["name"].as_str().unwrap().to_owned(),
            run: table["run"].as_str().unwrap().to_owned(),
            without: lines(table.get("without")),
            needs: table
                .get("needs")
                .map(|needs| needs.as_str().unwrap().to_owned()),
            recorded_only: table.contains_key("recorded_only"),
            table,
        }
    }

    /// Where a recorded output is kept.
    pub(crate) fn recorded(&self, extension: &str) -> PathBuf {
        fixtures()
            .join(&self.runner)
            .join(format!("{}.{extension}", self.name))
    }

    /// Holds an output, and perhaps a report file, against what is expected.
    pub(crate) fn check(&self, output: &str, xml: Option<&str>) {
        let found = detect(&self.run, output);
        self.check_report("", found.as_ref(), output);
        if self.table.contains_key("xml_report") {
            let xml = xml.unwrap_or_else(|| panic!("{}: no report file", self.title()));
            let found = junit(xml).unwrap();
            self.check_report("xml_", Some(&found), xml);
        }
    }

    fn check_report(&self, prefix: &str, found: Option<&TestReport>, text: &str) {
        let wanted = |key: &str| self.table.get(&format!("{prefix}{key}"));
        let title = self.title();
        let words = wanted("report").map(|value| value.as_str().unwrap().to_owned());
        assert_eq!(found.map(counts), words, "{title} in:\n{text}");
        if let Some(found) = found {
            assert_eq!(
                is(found),
                wanted("is").unwrap().as_str().unwrap(),
                "{title} in:\n{text}"
            );
            assert_eq!(
                failing(found),
                lines(wanted("failing")),
                "{title} in:\n{text}"
            );
            assert_eq!(
                passing(found),
                lines(wanted("passing")),
                "{title} in:\n{text}"
            );
        }
    }

    fn title(&self) -> String {
        format!("{}/{} ({})", self.runner, self.name, self.run)
    }
}

pub(crate) fn counts(report: &TestReport) -> String {
    let name = report.runner.name();
    format!(
        "{name}: {} passed, {} failed, {} skipped",
        report.passed, report.failed, report.skipped
    )
}

pub(crate) fn is(report: &TestReport) -> String {
    let marks = [
        (report.is_complete, "complete"),
        (report.is_contradictory, "contradictory"),
        (report.names_all(), "named"),
        (report.counts_tests, "counted"),
    ];
    let words: Vec<&str> = marks
        .iter()
        .filter_map(|(is, word)| is.then_some(*word))
        .collect();
    words.join(" ")
}

/// Sorted, since runners order them as they please.
pub(crate) fn failing(report: &TestReport) -> Vec<String> {
    let mut names: Vec<String> = report.failing.iter().map(place).collect();
    names.sort();
    names
}

pub(crate) fn passing(report: &TestReport) -> Vec<String> {
    let passed = report
        .tests
        .iter()
        .filter(|result| result.outcome == Outcome::Passed);
    let mut names: Vec<String> = passed.map(|result| result.test.to_string()).collect();
    names.sort();
    names
}

fn place(failing: &Failing) -> String {
    match (&failing.file, failing.line) {
        (Some(file), Some(line)) => format!("{} @ {file}:{line}", failing.test),
        _ => failing.test.to_string(),
    }
}

fn lines(value: Option<&toml::Value>) -> Vec<String> {
    let values = value.and_then(toml::Value::as_array).into_iter().flatten();
    let mut lines: Vec<String> = values
        .map(|line| line.as_str().unwrap().to_owned())
        .collect();
    lines.sort();
    lines
}

fn fixtures() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap().join("evidence/tests/fixtures")
}
