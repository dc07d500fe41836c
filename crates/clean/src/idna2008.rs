//! What IDNA 2008 (RFC 5892) asks of a label beyond UTS 46, which lets symbols and emoji pass.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        DefaultIgnorableCodePoint, GeneralCategory, HangulSyllableType, NoncharacterCodePoint, Script, WhiteSpace,
    },
};
use unicode_normalization::UnicodeNormalization;

/// True of a label as UTS 46 made it, hence ASCII: an A-label whose characters IDNA 2008 permits, or no A-label.
///
/// UTS 46 has checked the rest: NFC, hyphens, the leading mark, the joiners' context (CONTEXTJ), the bidi rule.
pub(crate) fn is_label(label: &str) -> bool {
    let Some(encoded) = label.strip_prefix("xn--") else {
        return true;
    };
    idna::punycode::decode(encoded).is_some_and(|label| (0..label.len()).all(|at| is_permitted(&label, at)))
}

/// RFC 5892, section 3, in its order, with the contextual rules of its appendix A.
fn is_permitted(label: &[char], at: usize) -> bool {
    let c = label[at];
    let script = |at: usize| label.get(at).map(|c| CodePointMapData::<Script>::new().get(*c));
    match c {
        'a'..='z' | '0'..='9' | '-' => true,
        // Exceptions (F)
        '\u{DF}' | '\u{3C2}' | '\u{6FD}' | '\u{6FE}' | '\u{F0B}' | '\u{3007}' => true,
        '\u{640}' | '\u{7FA}' | '\u{302E}' | '\u{302F}' | '\u{3031}'..='\u{3035}' | '\u{303B}' => false,
        '\u{B7}' => at > 0 && label[at - 1] == 'l' && label.get(at + 1) == Some(&'l'),
        '\u{375}' => script(at + 1) == Some(Script::Greek),
        '\u{5F3}' | '\u{5F4}' => at > 0 && script(at - 1) == Some(Script::Hebrew),
        '\u{30FB}' => {
            (0..label.len()).any(|at| matches!(script(at), Some(Script::Hiragana | Script::Katakana | Script::Han)))
        }
        '\u{660}'..='\u{669}' => !label.iter().any(|c| matches!(c, '\u{6F0}'..='\u{6F9}')),
        '\u{6F0}'..='\u{6F9}' => !label.iter().any(|c| matches!(c, '\u{660}'..='\u{669}')),
        // JoinControl (H): their context is UTS 46's business
        '\u{200C}' | '\u{200D}' => true,
        _ => is_letter_or_digit(c) && is_stable(c) && !is_ignorable(c) && !is_old_hangul(c),
    }
}

/// LetterDigits (A); what is unassigned is none.
fn is_letter_or_digit(c: char) -> bool {
    matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        GeneralCategory::LowercaseLetter
            | GeneralCategory::UppercaseLetter
            | GeneralCategory::OtherLetter
            | GeneralCategory::DecimalNumber
            | GeneralCategory::ModifierLetter
            | GeneralCategory::NonspacingMark
            | GeneralCategory::SpacingMark
    )
}

/// Not Unstable (B): its own NFKC(casefold(NFKC)).
fn is_stable(c: char) -> bool {
    caseless::default_case_fold_str(&c.nfkc().collect::<String>()).nfkc().eq([c])
}

/// IgnorableProperties (C) and IgnorableBlocks (D): combining marks for symbols, musical symbols.
fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<WhiteSpace>().contains(c)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(c)
        || matches!(c, '\u{20D0}'..='\u{20FF}' | '\u{1D100}'..='\u{1D1FF}' | '\u{1D200}'..='\u{1D24F}')
}

/// OldHangulJamo (I).
fn is_old_hangul(c: char) -> bool {
    matches!(
        CodePointMapData::<HangulSyllableType>::new().get(c),
        HangulSyllableType::LeadingJamo | HangulSyllableType::VowelJamo | HangulSyllableType::TrailingJamo
    )
}
