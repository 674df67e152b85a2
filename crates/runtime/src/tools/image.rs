//! `view_image`: shows the model a picture from the work tree.
//!
//! The file is read inside the cell, so that it is exactly what a command there could read.

use std::io::Cursor;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use image::{DynamicImage, ImageFormat, ImageReader};
use recto_protocol::ports::cell::{Command, ExitStatus, OutputCap, ProcessEvent};
use recto_protocol::tool::Effect;
use serde::Deserialize;
use serde_json::json;

use super::{ToolResult, Tools};

/// Largest file that is read.
const MOST_BYTES: u64 = 32 << 20;
/// Longest side in pixels that is sent.
const LONGEST_SIDE: u32 = 2048;
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
    let bytes = match read(tools, &args.path).await {
        Ok(bytes) => bytes,
        Err(reason) => {
            return ToolResult::rejected(format!(
                "unable to read image at {:?}: {reason}",
                args.path
            ));
        }
    };
    // Decoding is work of many milliseconds.
    let prepared = tokio::task::spawn_blocking(move || prepare(&bytes)).await;
    match prepared {
        Ok(Ok(url)) => ToolResult::ok(
            json!([{"type": "input_image", "image_url": url}]),
            Effect::Image { path: args.path },
        ),
        Ok(Err(reason)) => ToolResult::rejected(format!("unable to process image: {reason}")),
        Err(_) => ToolResult::rejected("unable to process image: the decoder failed"),
    }
}

async fn read(tools: &Tools, path: &str) -> Result<Vec<u8>, String> {
    let command = Command {
        argv: vec!["cat".into(), "--".into(), path.to_owned()],
        cwd: Some(tools.cwd.clone()),
        output: OutputCap {
            head: MOST_BYTES,
            tail: 0,
        },
        ..Command::default()
    };
    let mut process = tools
        .cell
        .spawn(command)
        .await
        .map_err(|error| error.to_string())?;
    let mut bytes = BytesMut::new();
    let whole = async {
        while let Some(event) = process.events.next().await {
            match event {
                ProcessEvent::Output(more) => bytes.extend_from_slice(&more),
                ProcessEvent::Dropped(_) => {
                    return Err(format!("it is larger than {} MiB", MOST_BYTES >> 20));
                }
                ProcessEvent::Exited(ExitStatus::Code(0)) => return Ok(()),
                ProcessEvent::Exited(_) => {
                    return Err(String::from_utf8_lossy(&bytes).trim().to_owned());
                }
            }
        }
        Err("the cell has ended".to_owned())
    };
    let read = tokio::time::timeout(PATIENCE, whole).await;
    match read {
        Ok(Ok(())) => Ok(bytes.to_vec()),
        Ok(Err(reason)) => Err(reason),
        Err(_) => {
            // Something that never ends, such as a pipe: leave nothing behind.
            let _ = process.control.signal(9).await;
            Err(format!(
                "it could not be read within {} seconds",
                PATIENCE.as_secs()
            ))
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
    if fits {
        return Ok(data_url(format, bytes));
    }
    let smaller = image.thumbnail(LONGEST_SIDE, LONGEST_SIDE);
    let target = if format == ImageFormat::Jpeg {
        ImageFormat::Jpeg
    } else {
        ImageFormat::Png
    };
    let mut encoded = Cursor::new(Vec::new());
    encodable(smaller, target)
        .write_to(&mut encoded, target)
        .map_err(|error| error.to_string())?;
    Ok(data_url(target, encoded.get_ref()))
}

fn encodable(image: DynamicImage, target: ImageFormat) -> DynamicImage {
    match target {
        ImageFormat::Jpeg => image.into_rgb8().into(),
        _ => image,
    }
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
    fn bombs_and_nonsense_are_refused() {
        assert!(prepare(b"not an image").is_err());
        assert!(prepare(&png(20_000, 1)).is_err());
        let mut cut = png(64, 64);
        cut.truncate(60);
        assert!(prepare(&cut).is_err());
    }
}
