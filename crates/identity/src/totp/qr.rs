//! The QR code of an enrolment: as SVG for a page, as text for a terminal.

use qrcode::{
    EcLevel, QrCode,
    render::{svg, unicode},
};

use super::TotpError;

/// An SVG picture, black on white with the quiet zone that scanners need, whatever the page's colours are.
///
/// # Errors
/// When the text is too long for a QR code.
pub fn qr_svg(url: &str) -> Result<String, TotpError> {
    let picture = encode(url)?
        .render::<svg::Color<'_>>()
        .min_dimensions(240, 240)
        .dark_color(svg::Color("#000000"))
        .light_color(svg::Color("#ffffff"))
        .build();
    // An XML declaration is not allowed in the middle of an HTML page.
    Ok(picture.split_once("?>").map_or(picture.as_str(), |(_, body)| body).to_owned())
}

/// Block characters for a terminal with a dark background, for `carekeep dev`.
///
/// # Errors
/// When the text is too long for a QR code.
pub fn qr_terminal(url: &str) -> Result<String, TotpError> {
    Ok(encode(url)?
        .render::<unicode::Dense1x2>()
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark)
        .build())
}

fn encode(url: &str) -> Result<QrCode, TotpError> {
    QrCode::with_error_correction_level(url.as_bytes(), EcLevel::M).map_err(|_| TotpError::Unshowable)
}
