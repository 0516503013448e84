#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace fleet::agent {

/// Why an S3 server refused: its own words.
struct S3Error {
  std::string code;     // "SignatureDoesNotMatch"; empty when the body is no S3 error
  std::string message;  // one line
};

/// Finds code and message in the body of an S3 error, such as
///   <?xml version="1.0" encoding="UTF-8"?>
///   <Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>
/// or, from minio's metrics, {"Code":"AccessDenied","Message":"Access Denied."}. Never fails: what
/// it does not find is empty.
/// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
S3Error ParseS3Error(absl::string_view body);

}  // namespace fleet::agent
