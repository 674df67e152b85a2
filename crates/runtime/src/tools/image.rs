//! `view_image`: shows the model a picture from the work tree.
//!
//! The file is read inside the cell, so that it is exactly what a command there could read.

use std::borrow::Cow;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use image::{DynamicImage, ImageFormat, ImageReader};
use recto_protocol::ports::cell::{CellError, Command, ExitStatus, OutputCap, ProcessEvent};
use recto_protocol::tool::Effect;
use serde::Deserialize;
use serde_json::json;

use super::{KILL_PATIENCE, ToolResult, Tools, bounded};

/// Largest file that is read.
const MOST_BYTES: u64 = 32 << 20;
/// Longest side in pixels that is sent.
const LONGEST_SIDE: u32 = 2048;
/// Most bytes of an image that are sent, before they are written as text. They stay in every later
/// request.
const MOST_SENT: usize = 1_500_000;
/// Images are not made smaller than this to fit.
const SHORTEST_SIDE: u32 = 256;
/// Longest side in pixels that is decoded.
const MOST_PIXELS: u32 = 16_384;
/// Memory that decoding may take.
const MOST_MEMORY: u64 = 512 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
pub(super) struct Args {
    path: String,
}

pub(super) async fn run(tools: &Tools, args: Args) -> ToolResult {
    if let Err(rejected) = bounded("path", Some(&args.path)) {
        return rejected;
    }
    // From reading on: what waits to be decoded takes memory too. Nobody closes the semaphore.
    let permit = Arc::clone(&tools.decoders).acquire_owned().await;
    let bytes = match read(tools, &args.path).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let gone = matches!(error, Unread::Cell(CellError::Gone));
            let text = format!("unable to read image at {:?}: {error}", args.path);
            return ToolResult::rejected(text).with_cell_gone(gone);
        }
    };
    // Decoding is work of many milliseconds, and goes on when the call is given up.
    let decode = move || {
        let _permit = permit;
        prepare(&bytes)
    };
    let prepared = tokio::task::spawn_blocking(decode).await;
    match prepared {
        Ok(Ok(url)) => ToolResult::ok(
            json!([{"type": "input_image", "image_url": url}]),
            Effect::Image { path: args.path },
        ),
        Ok(Err(reason)) => ToolResult::rejected(format!("unable to process image: {reason}")),
        Err(_) => ToolResult::rejected("unable to process image: the decoder failed"),
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Cell(#[from] CellError),
    #[error("{0}")]
    Other(String),
}

async fn read(tools: &Tools, path: &str) -> Result<Vec<u8>, Unread> {
    let command = Command {
        argv: vec!["cat".into(), "--".into(), path.to_owned()],
        cwd: Some(tools.cwd.clone()),
        output: OutputCap {
            head: MOST_BYTES,
            tail: 0,
        },
        ..Command::default()
    };
    let mut process = tools.cell.spawn(command).await?;
    let mut bytes = BytesMut::new();
    let whole = async {
        while let Some(event) = process.events.next().await {
            match event {
                ProcessEvent::Output(more) => bytes.extend_from_slice(&more),
                ProcessEvent::Dropped(_) => {
                    let reason = format!("it is larger than {} MiB", MOST_BYTES >> 20);
                    return Err(Unread::Other(reason));
                }
                ProcessEvent::Limited(_) => {}
                ProcessEvent::Exited(ExitStatus::Code(0)) => return Ok(()),
                ProcessEvent::Exited(ExitStatus::CellGone) => break,
                ProcessEvent::Exited(_) => {
                    let said = String::from_utf8_lossy(&bytes).trim().to_owned();
                    return Err(Unread::Other(said));
                }
            }
        }
        Err(CellError::Gone.into())
    };
    let read = tokio::time::timeout(PATIENCE, whole).await;
    match read {
        Ok(Ok(())) => Ok(bytes.to_vec()),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            // Something that never ends, such as a pipe: leave nothing behind.
            let kill = process.control.signal(9);
            let _ = tokio::time::timeout(KILL_PATIENCE, kill).await;
            Err(Unread::Other(format!(
                "it could not be read within {} seconds",
                PATIENCE.as_secs()
            )))
        }
    }
}

/// Checks an image, makes it smaller where needed, and writes it as a data URL.
///
/// # Errors
/// What is wrong with the image, for people.
pub fn prepare(bytes: &[u8]) -> Result<String, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let format = reader.format().ok_or("invalid or unsupported image data")?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MOST_PIXELS);
    limits.max_image_height = Some(MOST_PIXELS);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let image = reader.decode().map_err(|error| error.to_string())?;
    let fits = image.width() <= LONGEST_SIDE && image.height() <= LONGEST_SIDE;
    if fits && bytes.len() <= MOST_SENT {
        return Ok(data_url(format, bytes));
    }
    smaller(&image, format)
}

/// Writes an image so that it fits: in its own kind if that does, else as JPEG, which drops
/// transparency, and with ever fewer pixels.
fn smaller(image: &DynamicImage, format: ImageFormat) -> Result<String, String> {
    let image = shrunk(image, LONGEST_SIDE);
    if format != ImageFormat::Jpeg {
        let png = encode(&image, ImageFormat::Png)?;
        if png.len() <= MOST_SENT {
            return Ok(data_url(ImageFormat::Png, &png));
        }
    }
    let mut side = LONGEST_SIDE;
    while side >= SHORTEST_SIDE {
        let jpeg = encode(&shrunk(&image, side), ImageFormat::Jpeg)?;
        if jpeg.len() <= MOST_SENT {
            return Ok(data_url(ImageFormat::Jpeg, &jpeg));
        }
        side /= 2;
    }
    Err(format!("it does not fit into {MOST_SENT} bytes"))
}

/// The image with no side longer than `side`; never made larger.
fn shrunk(image: &DynamicImage, side: u32) -> Cow<'_, DynamicImage> {
    if image.width() <= side && image.height() <= side {
        Cow::Borrowed(image)
    } else {
        Cow::Owned(image.thumbnail(side, side))
    }
}

fn encode(image: &DynamicImage, target: ImageFormat) -> Result<Vec<u8>, String> {
    let mut encoded = Cursor::new(Vec::new());
    let written = if target == ImageFormat::Jpeg {
        image.to_rgb8().write_to(&mut encoded, target)
    } else {
        image.write_to(&mut encoded, target)
    };
    written.map_err(|error| error.to_string())?;
    Ok(encoded.into_inner())
}

fn data_url(format: ImageFormat, bytes: &[u8]) -> String {
    format!(
        "data:{};base64,{}",
        format.to_mime_type(),
        STANDARD.encode(bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(width, height)
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    }

    fn decoded(url: &str) -> DynamicImage {
        let data = url.split_once("base64,").unwrap().1;
        image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap()
    }

    #[test]
    fn small_images_are_sent_as_they_are() {
        let bytes = png(8, 8);
        assert_eq!(prepare(&bytes).unwrap(), data_url(ImageFormat::Png, &bytes));
    }

    #[test]
    fn large_images_are_made_smaller() {
        let image = decoded(&prepare(&png(4096, 1024)).unwrap());
        assert_eq!((image.width(), image.height()), (2048, 512));
    }

    #[test]
    fn heavy_images_are_made_lighter() {
        // Noise, which no encoder makes small.
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let pixels = (0..1200 * 1200 * 3).map(|_| noise()).collect();
        let heavy = image::RgbImage::from_raw(1200, 1200, pixels).unwrap();
        let bytes = encode(&heavy.into(), ImageFormat::Png).unwrap();
        assert!(bytes.len() > MOST_SENT);
        let url = prepare(&bytes).unwrap();
        assert!(url.starts_with("data:image/jpeg;base64,"));
        assert!(url.len() < MOST_SENT / 3 * 4 + 100);
        decoded(&url);
    }

    #[test]
    fn bombs_and_nonsense_are_refused() {
        assert!(prepare(b"not an image").is_err());
        assert!(prepare(&png(20_000, 1)).is_err());
        let mut cut = png(64, 64);
        cut.truncate(60);
        assert!(prepare(&cut).is_err());
    }
}
