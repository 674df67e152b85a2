//! The format as a grammar, for models whose decoding can be held to one.

/// The format in Lark's notation, for a `custom` tool with a grammar.
///
/// It is narrower than what [`crate::parse()`] accepts: what a model cannot say wrongly needs no
/// error. An update must change or move something, and a `@@` line must be followed by changes.
pub const LARK_GRAMMAR: &str = r#"start: begin file+ end
begin: "*** Begin Patch" LF
end: "*** End Patch" LF?

file: add | delete | update
add: "*** Add File: " path LF added+
delete: "*** Delete File: " path LF
update: "*** Update File: " path LF (move hunks? | hunks)
move: "*** Move to: " path LF

hunks: (hunk | bare_hunk) hunk*
bare_hunk: line+ at_end?
hunk: marker line+ at_end?
marker: ("@@" | "@@ " /(.+)/) LF
line: ("+" | "-" | " ") /(.*)/ LF
at_end: "*** End of File" LF

added: "+" /(.*)/ LF
path: /(.+)/

%import common.LF
"#;
