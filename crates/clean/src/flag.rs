//! Flags: yes, no, or unknown.

const WORDS: [(&str, bool); 12] = [
    ("y", true),
    ("yes", true),
    ("1", true),
    ("true", true),
    ("t", true),
    ("on", true),
    ("n", false),
    ("no", false),
    ("0", false),
    ("false", false),
    ("f", false),
    ("off", false),
];

/// What a flag says, in any case. None: unknown. `text` has gone through the text rule.
pub fn flag(text: &str) -> Option<bool> {
    WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, says)| *says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags() {
        for (expect, words) in [
            (Some(true), "y yes 1 true t on Y YES True T ON"),
            (Some(false), "n no 0 false f off N NO False F OFF"),
            (None, "maybe part 2 01 unknown yess ja"),
        ] {
            for word in words.split(' ') {
                assert_eq!(flag(word), expect, "{word:?}");
            }
        }
        assert_eq!(flag(""), None);
    }
}
