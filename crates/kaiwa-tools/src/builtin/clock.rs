//! The time where we are.

use chrono::{DateTime, Local, TimeZone};
use serde_json::{Value, json};

/// Date, time and zone of this machine.
#[must_use]
pub fn now() -> Value {
    // A machine without a zone has an offset all the same.
    told(&Local::now(), iana_time_zone::get_timezone().ok())
}

/// A time in a zone of this name, as a model is told of it.
fn told<Z: TimeZone>(time: &DateTime<Z>, zone: Option<String>) -> Value
where
    Z::Offset: std::fmt::Display,
{
    json!({
        "date": time.format("%Y-%m-%d").to_string(),
        "weekday": time.format("%A").to_string(),
        "time": time.format("%H:%M:%S").to_string(),
        "utc_offset": time.format("%:z").to_string(),
        "zone": zone,
    })
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn a_time_is_told_with_its_zone() {
        let east = FixedOffset::east_opt(9 * 3600).expect("an offset");
        let time = east.with_ymd_and_hms(2026, 11, 23, 7, 5, 9).single();
        let told = told(&time.expect("a time"), Some("Asia/Tokyo".to_owned()));
        assert_eq!(
            told,
            json!({"date": "2026-11-23", "weekday": "Monday", "time": "07:05:09",
                "utc_offset": "+09:00", "zone": "Asia/Tokyo"})
        );
    }
}
