//! An archive as `tar` reads it, of texts in memory: nothing that is not redacted ever lies on a disk.
//! <https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06>

const BLOCK: usize = 512;

/// The archive of files with these names, which are plain and short, all of one time.
pub(super) fn archive(files: &[(String, String)], time: i64) -> String {
    let mut archive = String::new();
    for (name, content) in files {
        archive.push_str(&header(name, content.len(), time));
        archive.push_str(content);
        archive.push_str(&"\0".repeat(content.len().next_multiple_of(BLOCK) - content.len()));
    }
    // Its end, and then to a whole record, as `tar` writes it.
    archive.push_str(&"\0".repeat(2 * BLOCK));
    archive.push_str(&"\0".repeat(archive.len().next_multiple_of(20 * BLOCK) - archive.len()));
    archive
}

fn header(name: &str, size: usize, time: i64) -> String {
    let field = |text: &str, width: usize| format!("{text:\0<width$.width$}");
    let number =
        |number: &dyn std::fmt::Octal, width: usize| format!("{number:0>digits$o}\0", digits = width - 1);
    let before = field(name, 100)
        + &number(&0o600, 8)
        + &number(&0, 8)
        + &number(&0, 8)
        + &number(&size, 12)
        + &number(&time, 12);
    // Regular file, no link; root owns it.
    let after = field("0", 101)
        + "ustar\x0000"
        + &field("root", 32)
        + &field("root", 32)
        + &number(&0, 8)
        + &number(&0, 8)
        + &field("", 167);
    let sum: u32 = (before.clone() + &" ".repeat(8) + &after).bytes().map(u32::from).sum();
    before + &format!("{sum:06o}\0 ") + &after
}
