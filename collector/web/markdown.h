#pragma once

#include <string>

#include "absl/strings/string_view.h"

/// The one door to cmark: CommonMark as an admin writes it, as everybody may see it.
namespace fleet::collector {

/// HTML of p, em, strong, code, pre, a, ul, ol, li, blockquote, br and hr only. A link leads to
/// http or https or it is its words alone; headings are paragraphs, images their descriptions; HTML
/// in the text is shown as it is written. `text` is bounded by its sender. Thread-safe.
std::string MarkdownToHtml(absl::string_view text);

/// Its words alone, one line per paragraph.
std::string MarkdownToText(absl::string_view text);

}  // namespace fleet::collector
