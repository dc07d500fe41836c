//! E-mail addresses in the one form in which they are compared and stored.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::{idna2008, text::text};

const MAX_ADDRESS: usize = 254;
const MAX_LOCAL: usize = 64;
const MAX_LABEL: usize = 63;

/// The address that a raw value holds: ASCII, lower case. None: absent or not valid. Its own normal form is itself.
pub fn email(raw: &str) -> Option<String> {
    email_cleaned(&text(raw).value?)
}

/// [`email`] of a text that has gone through the text rule already.
pub fn email_cleaned(text: &str) -> Option<String> {
    let mut address = String::with_capacity(text.len());
    enclosed(text).split_whitespace().for_each(|part| address.push_str(part));
    address.truncate(address.trim_end_matches(['.', ',', ';']).len());
    if address.is_ascii() {
        address.make_ascii_lowercase();
    } else {
        address = address.to_lowercase();
    }
    let (local, domain) = address.split_once('@')?;
    if domain.contains('@') || !is_local(local) {
        return None;
    }
    if !is_plain(domain) {
        let ascii = domain_to_ascii(domain)?;
        address = format!("{local}@{ascii}");
    }
    let at = address.find('@')?;
    if &address[at + 1..] == "googlemail.com" {
        address.truncate(at + 1);
        address.push_str("gmail.com");
    }
    (address.len() <= MAX_ADDRESS && is_domain(&address[at + 1..])).then_some(address)
}

/// What is left without a leading `mailto:` and the brackets around it.
fn enclosed(text: &str) -> &str {
    let text = text.trim();
    let text = match text.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("mailto:") => text[7..].trim(),
        _ => text,
    };
    text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text)
}

/// The characters that HTML's `input type=email` takes, and the dots where they may be.
fn is_local(local: &str) -> bool {
    (1..=MAX_LOCAL).contains(&local.len())
        && local
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b".!#$%&'*+/=?^_`{|}~-".contains(&byte))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
}

/// UTS 46 has nothing to map or check: letters, digits, single hyphens.
fn is_plain(domain: &str) -> bool {
    domain.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-')) && !domain.contains("--")
}

fn domain_to_ascii(domain: &str) -> Option<String> {
    let ascii =
        Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify).ok()?;
    ascii.split('.').all(idna2008::is_label).then(|| ascii.into_owned())
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(is_label)
        && domain
            .rsplit_once('.')
            .is_some_and(|(_, last)| last.starts_with("xn--") || last.bytes().all(|byte| byte.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expect: &str) {
        assert_eq!(email(raw).as_deref(), Some(expect), "{raw:?}");
        assert_eq!(email(expect).as_deref(), Some(expect), "not its own normal form");
    }

    #[track_caller]
    fn check_invalid(raw: &str) {
        assert_eq!(email(raw), None, "{raw:?}");
    }

    #[test]
    fn wrapping_goes() {
        check("a@b.de", "a@b.de");
        check("mailto:a@b.de", "a@b.de");
        check(" MailTo: <A@B.de> ", "a@b.de");
        check("mailto:< a@b.de >", "a@b.de");
        check("<a@b.de>", "a@b.de");
        check("a @ b.\tde ", "a@b.de");
        check("a@b.de;", "a@b.de");
        check("a@b.de.,; .", "a@b.de");
        check("<a@b.de.>", "a@b.de");
        check("a\u{200B}@b.de", "a@b.de");
        check("a&#64;b.de", "a@b.de");
        // in that order, each once
        for raw in
            ["<mailto:a@b.de>", "<<a@b.de>>", "mailto:mailto:a@b.de", "<a@b.de", "a@b.de>", "<a@b.de>.", "Ava <a@b.de>"]
        {
            check_invalid(raw);
        }
    }

    #[test]
    fn absent_or_not_an_address() {
        for raw in [
            "",
            "n/a",
            "-",
            "deleted user",
            "a@b",
            "not given",
            "@",
            "a@",
            "@b.de",
            "a@b@c.de",
            "a@b.de@",
            "mailto:",
            "<>",
        ] {
            check_invalid(raw);
        }
    }

    #[test]
    fn tags_and_dots_stay() {
        check("A.B+Trees@Gmail.com", "a.b+trees@gmail.com");
        check("a.b+trees@GoogleMail.com", "a.b+trees@gmail.com");
        check("a@googlemail.co.uk", "a@googlemail.co.uk");
        check("a@mail.googlemail.com", "a@mail.googlemail.com");
        check("a@googlemail.com.", "a@gmail.com");
        check("a@ｇｏｏｇｌｅｍａｉｌ.com", "a@gmail.com");
    }

    #[test]
    fn local_part() {
        check("o'neill!#$%&*+/=?^_`{|}~-.z@b.de", "o'neill!#$%&*+/=?^_`{|}~-.z@b.de");
        check(&format!("{}@b.de", "a".repeat(64)), &format!("{}@b.de", "a".repeat(64)));
        check_invalid(&format!("{}@b.de", "a".repeat(65)));
        for raw in [
            ".a@b.de",
            "a.@b.de",
            "a..b@b.de",
            "\"a\"@b.de",
            "a(b)@b.de",
            "a,b@b.de",
            "a:b@b.de",
            "josé@b.de",
            "a\\b@b.de",
        ] {
            check_invalid(raw);
        }
    }

    #[test]
    fn domain() {
        check("a@b-c.d1.museum", "a@b-c.d1.museum");
        check("a@1.de", "a@1.de");
        check(&format!("a@{}.de", "b".repeat(63)), &format!("a@{}.de", "b".repeat(63)));
        check_invalid(&format!("a@{}.de", "b".repeat(64)));
        let labels = format!("{0}.{0}.{0}", "b".repeat(62));
        let longest = format!("{}@{labels}.de", "a".repeat(254 - labels.len() - 4));
        assert_eq!(longest.len(), 254);
        check(&longest, &longest);
        check_invalid(&format!("a{longest}"));
        for raw in [
            "a@-b.de",
            "a@b-.de",
            "a@b..de",
            "a@.de",
            "a@b.d3",
            "a@b.1",
            "a@1.2.3.4",
            "a@[1.2.3.4]",
            "a@b_c.de",
            "a@b.-de",
            "a@de",
            "a@b/c.de",
            "a@b.d-e",
        ] {
            check_invalid(raw);
        }
    }

    #[test]
    fn international_domains() {
        check("m@BÄUME.de", "m@xn--bume-loa.de");
        check("m@ba\u{308}ume.de", "m@xn--bume-loa.de");
        check("m@bÃ¤ume.de", "m@xn--bume-loa.de");
        check("m@XN--BUME-LOA.de", "m@xn--bume-loa.de");
        // nontransitional
        check("m@straßenbaum.at", "m@xn--straenbaum-83a.at");
        check("m@森林.jp", "m@xn--btvs3a.jp");
        check("m@森林。jp", "m@xn--btvs3a.jp");
        check("m@españa-verde.es", "m@xn--espaa-verde-4db.es");
        check("m@UNIVERSITÉ.FR", "m@xn--universit-j4a.fr");
        check("m@b.рф", "m@b.xn--p1ai");
        check("m@قطر.com", "m@xn--wgbl6a.com");
    }

    #[test]
    fn labels_that_idna_2008_does_not_permit() {
        for raw in [
            // symbols, emoji, a number form
            "m@🌳.de",
            "m@♥.de",
            "m@xn--g6h.de",
            "m@☃.net",
            "m@xn--h77h.de",
            "m@a√b.de",
            // reserved hyphens, punycode that is none, of ASCII, not normal
            "m@ab--c.de",
            "m@xn--.de",
            "m@xn--a.de",
            "m@xn--abc-.de",
            "m@xn--zzzzzzz99999.de",
            "m@xn--zcaj988v.de",
            // leading mark, right-to-left with a leading digit
            "m@\u{301}a.de",
            "m@1قطر.com",
            // a mark for symbols, old Hangul, a tatweel, an ignorable
            "m@a\u{20D0}.de",
            "m@\u{1100}.de",
            "m@ق\u{640}ق.de",
            "m@a\u{34F}\u{338}.de.🌱",
        ] {
            check_invalid(raw);
        }
    }

    #[test]
    fn contextual_rules_of_idna_2008() {
        check("m@col·lecció.cat", "m@xn--collecci-ioa91d.cat");
        check_invalid("m@a·b.cat");
        check_invalid("m@·l.cat");
        check_invalid("m@l·.cat");
        check("m@ア・イ.jp", "m@xn--ccke4x.jp");
        check_invalid("m@a・b.jp");
        check("m@͵α.gr", "m@xn--wva4j.gr");
        check_invalid("m@͵a.gr");
        check("m@א׳.il", "m@xn--4db4e.il");
        check_invalid("m@׳א.il");
        check_invalid("m@ب٠۰.com");
    }
}
