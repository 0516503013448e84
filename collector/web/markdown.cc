#include "collector/web/markdown.h"

#include <cmark.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace fleet::collector {
namespace {

constexpr int kOptions = CMARK_OPT_VALIDATE_UTF8;  // and CMARK_OPT_SAFE, which is the default

struct FreeNode {
  void operator()(cmark_node* node) const { cmark_node_free(node); }
};
using Document = std::unique_ptr<cmark_node, FreeNode>;

Document Parse(absl::string_view text) {
  return Document(cmark_parse_document(text.data(), text.size(), kOptions));
}

/// Every node, parents before children.
std::vector<cmark_node*> Nodes(cmark_node* root) {
  std::vector<cmark_node*> nodes;
  cmark_iter* const at = cmark_iter_new(root);
  for (cmark_event_type event = cmark_iter_next(at); event != CMARK_EVENT_DONE;
       event = cmark_iter_next(at)) {
    if (event == CMARK_EVENT_ENTER) nodes.push_back(cmark_iter_get_node(at));
  }
  cmark_iter_free(at);
  return nodes;
}

absl::string_view Literal(cmark_node* node) {
  const char* literal = cmark_node_get_literal(node);
  return literal == nullptr ? "" : literal;
}

/// Puts `by` where `node` is. Either both change or neither does.
void Replace(cmark_node* node, cmark_node* by) {
  if (cmark_node_replace(node, by) != 0) {
    cmark_node_free(node);
  } else {
    cmark_node_free(by);
  }
}

void MoveChildren(cmark_node* from, cmark_node* to) {
  while (cmark_node* const child = cmark_node_first_child(from)) {
    if (cmark_node_append_child(to, child) == 0) return;
  }
}

/// Its children in its place.
void Unwrap(cmark_node* node) {
  while (cmark_node* const child = cmark_node_first_child(node)) {
    if (cmark_node_insert_before(node, child) == 0) break;
  }
  cmark_node_free(node);
}

bool LeadsToTheWeb(cmark_node* link) {
  const char* url = cmark_node_get_url(link);
  return url != nullptr && (absl::StartsWithIgnoreCase(url, "https://") ||
                            absl::StartsWithIgnoreCase(url, "http://"));
}

cmark_node* TextNode(absl::string_view text) {
  cmark_node* const node = cmark_node_new(CMARK_NODE_TEXT);
  cmark_node_set_literal(node, std::string(text).c_str());
  return node;
}

void Tame(cmark_node* node) {
  switch (cmark_node_get_type(node)) {
    case CMARK_NODE_HTML_BLOCK: {
      cmark_node* const paragraph = cmark_node_new(CMARK_NODE_PARAGRAPH);
      cmark_node_append_child(paragraph,
                              TextNode(absl::StripTrailingAsciiWhitespace(Literal(node))));
      Replace(node, paragraph);
      return;
    }
    case CMARK_NODE_HTML_INLINE:
      Replace(node, TextNode(Literal(node)));
      return;
    case CMARK_NODE_HEADING: {
      cmark_node* const paragraph = cmark_node_new(CMARK_NODE_PARAGRAPH);
      cmark_node* const strong = cmark_node_new(CMARK_NODE_STRONG);
      cmark_node_append_child(paragraph, strong);
      MoveChildren(node, strong);
      Replace(node, paragraph);
      return;
    }
    case CMARK_NODE_CODE_BLOCK:
      cmark_node_set_fence_info(node, "");
      return;
    case CMARK_NODE_LINK:
      cmark_node_set_title(node, "");
      if (!LeadsToTheWeb(node)) Unwrap(node);
      return;
    case CMARK_NODE_IMAGE:
      Unwrap(node);
      return;
    default:
      return;
  }
}

bool EndsALine(cmark_node_type type) {
  return type == CMARK_NODE_PARAGRAPH || type == CMARK_NODE_HEADING ||
         type == CMARK_NODE_LINEBREAK || type == CMARK_NODE_CODE_BLOCK ||
         type == CMARK_NODE_HTML_BLOCK;
}

}  // namespace

std::string MarkdownToHtml(absl::string_view text) {
  const Document document = Parse(text);
  for (cmark_node* node : Nodes(document.get())) Tame(node);
  char* const html = cmark_render_html(document.get(), kOptions);
  std::string result = html;
  std::free(html);
  return result;
}

std::string MarkdownToText(absl::string_view text) {
  const Document document = Parse(text);
  std::string words;
  const auto end_line = [&words] {
    absl::StripTrailingAsciiWhitespace(&words);
    if (!words.empty()) words += '\n';
  };
  cmark_iter* const at = cmark_iter_new(document.get());
  for (cmark_event_type event = cmark_iter_next(at); event != CMARK_EVENT_DONE;
       event = cmark_iter_next(at)) {
    cmark_node* const node = cmark_iter_get_node(at);
    const cmark_node_type type = cmark_node_get_type(node);
    if (event == CMARK_EVENT_ENTER) {
      const absl::string_view literal = Literal(node);
      words.append(literal.data(), literal.size());
      if (type == CMARK_NODE_SOFTBREAK) words += ' ';
    }
    // A leaf has no exit.
    if (EndsALine(type) && (event == CMARK_EVENT_EXIT || cmark_node_first_child(node) == nullptr)) {
      end_line();
    }
  }
  cmark_iter_free(at);
  absl::StripTrailingAsciiWhitespace(&words);
  return words;
}

}  // namespace fleet::collector
