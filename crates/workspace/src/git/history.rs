//! Commits between two points, read from objects only.

use super::oid::Oid;
use super::run::RunError;
use super::trusted::Trusted;

/// One commit, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub id: Oid,
    /// The first line of its message; bytes that are no text are replaced.
    pub subject: String,
}

impl Trusted {
    /// The commits that `head` has and `base` has not, newest first, at most `limit`. Without a
    /// base, all of `head`'s.
    ///
    /// # Errors
    /// When there is no such commit, or git's reason.
    pub async fn log(
        &self,
        base: Option<&Oid>,
        head: &Oid,
        limit: u32,
    ) -> Result<Vec<Commit>, RunError> {
        let range = match base {
            Some(base) => format!("{base}..{head}"),
            None => head.to_string(),
        };
        let bytes = self
            .objects("log")
            .args([
                "-z",
                "--no-show-signature",
                "--no-mailmap",
                "--no-decorate",
                "--no-patch",
            ])
            .args(["--format=tformat:%H%x00%s", &format!("--max-count={limit}")])
            .args(["--end-of-options", &range, "--"])
            .read()
            .await?;
        let fields: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
        let commits = fields.chunks_exact(2).map(|pair| {
            let id = Oid::parse(std::str::from_utf8(pair[0]).ok()?)?;
            Some(Commit {
                id,
                subject: String::from_utf8_lossy(pair[1]).into_owned(),
            })
        });
        let commits: Option<Vec<Commit>> = commits.collect();
        commits.ok_or_else(|| RunError::Output {
            command: "log".to_owned(),
        })
    }
}
