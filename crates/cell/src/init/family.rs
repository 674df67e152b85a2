//! The descendants of this process, for a cell that has no pid namespace to tell them apart.

/// Every living descendant, parents before children. What forks meanwhile may be missing.
pub(super) fn descendants() -> Vec<i32> {
    let mut known = vec![std::process::id() as i32];
    let mut next = 0;
    while next < known.len() {
        let pid = known[next];
        next += 1;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        known.extend(
            children
                .split_whitespace()
                .filter_map(|child| child.parse::<i32>().ok()),
        );
    }
    known.split_off(1)
}
