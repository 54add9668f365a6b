//! FHIR dates as ranges: every `date`, `dateTime` and `instant` stands for a stretch of time as long as its precision.

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use super::{DateMatch, Prefix};

/// `start..end` in microseconds since the Unix epoch, `end` exclusive.
pub(crate) type Range = (i64, i64);

/// The range of a FHIR date, dateTime or instant; seconds may be missing, as searches allow. Without a zone it is UTC.
/// `None` if it is none of them.
pub(crate) fn range(text: &str) -> Option<Range> {
    let (date, clock) = match text.split_once('T') {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let (first, after) = day_range(date)?;
    let Some(clock) = clock else {
        return Some((micros(first.midnight(), UtcOffset::UTC), micros(after.midnight(), UtcOffset::UTC)));
    };
    if date.len() != 10 {
        return None;
    }
    let (start, length) = time_range(first, clock)?;
    Some((start, start.checked_add(length)?))
}

fn micros(moment: PrimitiveDateTime, offset: UtcOffset) -> i64 {
    i64::try_from(moment.assume_offset(offset).unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

fn number(text: &str, digits: usize) -> Option<u16> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn day(year: u16, month: u16, day: u16) -> Option<Date> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()
}

/// The first day and the day after the last, of `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
pub(crate) fn day_range(text: &str) -> Option<(Date, Date)> {
    let mut parts = text.split('-');
    let year = number(parts.next()?, 4).filter(|year| *year > 0)?;
    // "9999-12-31" is a way to say "for ever": what would end after the last day there is ends with it.
    let next_year = || day(year + 1, 1, 1).unwrap_or(Date::MAX);
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => Some((day(year, 1, 1)?, next_year())),
        (Some(month), None, _) => {
            let month = number(month, 2)?;
            let first = day(year, month, 1)?;
            Some((first, if month == 12 { next_year() } else { day(year, month + 1, 1)? }))
        }
        (Some(month), Some(of_month), None) => {
            let first = day(year, number(month, 2)?, number(of_month, 2)?)?;
            Some((first, first.next_day().unwrap_or(Date::MAX)))
        }
        _ => None,
    }
}

/// Start in microseconds and length, of `hh:mm[:ss[.fraction]][Z|+hh:mm|-hh:mm]` on a day.
fn time_range(date: Date, text: &str) -> Option<(i64, i64)> {
    let zone_at = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone_at);
    let offset = offset(zone)?;
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let mut parts = clock.split(':');
    let hour = u8::try_from(number(parts.next()?, 2)?).ok()?;
    let minute = u8::try_from(number(parts.next()?, 2)?).ok()?;
    let second = parts.next();
    if parts.next().is_some() || (second.is_none() && fraction.is_some()) {
        return None;
    }
    let seconds = second.map_or(Some(0), |second| number(second, 2))?;
    // 60 is a leap second: FHIR allows it, the calendar crate has none, so it is the second after :59.
    let whole = Time::from_hms(hour, minute, 0).ok().filter(|_| seconds <= 60)?;
    let start = micros(PrimitiveDateTime::new(date, whole), offset) + i64::from(seconds) * 1_000_000;
    match (second, fraction) {
        (None, _) => Some((start, 60_000_000)),
        (Some(_), None) => Some((start, 1_000_000)),
        (Some(_), Some(fraction)) => {
            let (part, length) = fraction_micros(fraction)?;
            Some((start + part, length))
        }
    }
}

/// A fraction of a second in microseconds and how long its last digit is; digits beyond the sixth are below what is kept.
fn fraction_micros(text: &str) -> Option<(i64, i64)> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = text.get(..6.min(text.len()))?;
    let scale = 10_i64.pow(6_u32.checked_sub(u32::try_from(kept.len()).ok()?)?);
    Some((kept.parse::<i64>().ok()? * scale, scale))
}

fn offset(text: &str) -> Option<UtcOffset> {
    if text.is_empty() || text == "Z" {
        return Some(UtcOffset::UTC);
    }
    let sign: i8 = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let hours = i8::try_from(number(hours, 2).filter(|hours| *hours <= 14)?).ok()?;
    let minutes = i8::try_from(number(minutes, 2).filter(|minutes| *minutes <= 59)?).ok()?;
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

/// The prefix of a search value and the rest; no prefix is `eq`. `ap` (approximately) is not served.
pub(super) fn prefixed(text: &str) -> Option<(Prefix, &str)> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return Some((Prefix::Eq, text));
    }
    let prefix = match text.get(..2)? {
        "eq" => Prefix::Eq,
        "ne" => Prefix::Ne,
        "lt" => Prefix::Lt,
        "gt" => Prefix::Gt,
        "le" => Prefix::Le,
        "ge" => Prefix::Ge,
        "sa" => Prefix::Sa,
        "eb" => Prefix::Eb,
        _ => return None,
    };
    Some((prefix, text.get(2..)?))
}

pub(super) fn date_match(text: &str) -> Option<DateMatch> {
    // A form that was decoded carelessly has a space where the plus of the zone was.
    let mended = text.replace(' ', "+");
    let (prefix, date) = prefixed(&mended)?;
    let (start, end) = range(date)?;
    Some(DateMatch { prefix, start, end })
}

const MOST_BIRTHDATE_TERMS: usize = 128;

/// The fewest years, months and days that make up `first..after`, as `YYYY`, `YYYY-MM`, `YYYY-MM-DD`. `None` if there are more
/// than 128.
pub(super) fn cover(first: Date, after: Date) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut at = first;
    while at < after {
        if out.len() == MOST_BIRTHDATE_TERMS {
            return None;
        }
        let whole = [at.ordinal() == 1, at.day() == 1, true];
        let text = format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day());
        let lengths = [4, 7, 10];
        let (end, length) = lengths.iter().zip(whole).find_map(|(length, whole)| {
            let (_, end) = day_range(text.get(..*length)?).filter(|(_, end)| whole && *end <= after)?;
            Some((end, *length))
        })?;
        out.push(text.get(..length)?.to_owned());
        at = end;
    }
    Some(out)
}
