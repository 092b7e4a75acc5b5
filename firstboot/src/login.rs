//! The login block: what a console prints, and how it is read back out of a console's log.
//!
//! ```text
//! ----- BEGIN ECHORA LOGIN -----
//! URL:      https://203.0.113.7
//! Username: admin
//! Password: xxxx-xxxx-xxxx-xxxx
//! Check:    1a2b3c4d
//! ----- END ECHORA LOGIN -----
//! ```
//!
//! `Check` is the CRC-32 of the three lines above it, each with its line feed.

use std::fmt;

const BEGIN: &str = "----- BEGIN ECHORA LOGIN -----";
/// Last line of the block: a console that has shown it has shown a whole login.
pub const END: &str = "----- END ECHORA LOGIN -----";

/// A login.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginBlock {
    /// Where the site is.
    pub url: String,
    /// The owner's name.
    pub username: String,
    /// The owner's password.
    pub password: String,
}

impl fmt::Debug for LoginBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoginBlock {{ url: {:?}, username: {:?}, password: *** }}", self.url, self.username)
    }
}

/// Why a log gives no login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// There is none in it.
    None,
    /// There is one, but it is not what the machine printed.
    Damaged(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there is no login in this log"),
            Self::Damaged(how) => write!(f, "the login in this log is damaged: {how}"),
        }
    }
}

impl std::error::Error for Problem {}

impl LoginBlock {
    /// The block as a console prints it.
    #[must_use]
    pub fn render(&self) -> String {
        let body = self.body();
        format!("{BEGIN}\n{body}Check:    {:08x}\n{END}\n", crc32fast::hash(body.as_bytes()))
    }

    fn body(&self) -> String {
        format!("URL:      {}\nUsername: {}\nPassword: {}\n", self.url, self.username, self.password)
    }
}

/// The newest whole login in a console's log, which may have CR/LF, ANSI codes and kernel lines in between.
pub fn find(log: &str) -> Result<LoginBlock, Problem> {
    let text = plain(log);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let begins = (0..lines.len()).rev().filter(|&index| lines[index].ends_with(BEGIN));
    let mut first_problem = Problem::None;
    for begin in begins {
        match read(&lines[begin + 1..]) {
            Ok(block) => return Ok(block),
            Err(how) if first_problem == Problem::None => first_problem = Problem::Damaged(how),
            Err(_) => {}
        }
    }
    Err(first_problem)
}

fn read(lines: &[&str]) -> Result<LoginBlock, String> {
    let end = lines.iter().position(|line| line.ends_with(END) || line.ends_with(BEGIN));
    let end = end.filter(|&index| lines[index].ends_with(END)).ok_or("its end is missing")?;
    let field = |name: &str| {
        let mut values = lines[..end].iter().filter_map(|line| line.strip_prefix(name).map(str::trim_start));
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value.to_owned()),
            (None, _) => Err(format!("the line {name} is missing")),
            (Some(_), Some(_)) => Err(format!("the line {name} is there twice")),
        }
    };
    let block =
        LoginBlock { url: field("URL:")?, username: field("Username:")?, password: field("Password:")? };
    let check = u32::from_str_radix(&field("Check:")?, 16).map_err(|_| "the line Check: is no checksum")?;
    if check == crc32fast::hash(block.body().as_bytes()) {
        Ok(block)
    } else {
        Err("its lines do not fit their checksum".into())
    }
}

/// The text without carriage returns and ANSI control sequences.
fn plain(log: &str) -> String {
    let mut out = String::with_capacity(log.len());
    let mut chars = log.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\u{1b}', Some('[')) => {
                chars.next();
                while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {}
            }
            ('\u{1b}', _) => {
                chars.next();
            }
            ('\r', _) => {}
            (c, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> LoginBlock {
        LoginBlock {
            url: "https://203.0.113.7".into(),
            username: "admin".into(),
            password: "abcd-efgh-2345-6789".into(),
        }
    }

    #[test]
    fn a_noisy_log_gives_its_login() {
        let noisy = block()
            .render()
            .replace("Username", "[   42.100000] usb 1-1: new device\nUsername")
            .replace("Check", "\u{1b}[0;32mOK\u{1b}[0m\n\u{1b}[0mCheck")
            .replace('\n', "\r\n");
        assert_eq!(find(&format!("GRUB\r\n{noisy}\r\nlogin: ")), Ok(block()));
    }

    #[test]
    fn the_newest_whole_one_counts() {
        let old = LoginBlock { password: "old".into(), ..block() };
        let log =
            format!("{}{}{}", old.render(), block().render(), "----- BEGIN ECHORA LOGIN -----\nURL: x\n");
        assert_eq!(find(&log), Ok(block()));
    }

    #[test]
    fn nothing_and_damage_are_told_apart() {
        assert_eq!(find("boot\nlogin:"), Err(Problem::None));
        let damage = |from: &str, to: &str| match find(&block().render().replace(from, to)) {
            Err(Problem::Damaged(how)) => how,
            other => panic!("{other:?}"),
        };
        assert!(damage("efgh", "efgx").contains("checksum"));
        assert!(damage("Username: admin\n", "").contains("Username"));
        assert!(damage(END, "").contains("end"));
        assert!(damage("Check:    ", "Check:    z").contains("no checksum"));
    }

    #[test]
    fn debug_hides_the_password() {
        assert!(!format!("{:?}", block()).contains("abcd"));
    }
}
