#pragma once

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define FLEET_CONCAT_INNER(a, b) a##b
#define FLEET_CONCAT(a, b) FLEET_CONCAT_INNER(a, b)

/// Returns the status of `expr` from the enclosing function when it is an error.
#define FLEET_RETURN_IF_ERROR(expr)                               \
  do {                                                            \
    if (absl::Status fleet_status = (expr); !fleet_status.ok()) { \
      return fleet_status;                                        \
    }                                                             \
  } while (false)

// NOLINTBEGIN(bugprone-macro-parentheses): names and a declaration
#define FLEET_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  if (!tmp.ok()) return tmp.status();               \
  lhs = *std::move(tmp)
// NOLINTEND(bugprone-macro-parentheses)

/// Assigns the value of a StatusOr to `lhs` (which may declare a variable) or returns its error.
#define FLEET_ASSIGN_OR_RETURN(lhs, expr) \
  FLEET_ASSIGN_OR_RETURN_IMPL(FLEET_CONCAT(fleet_or_, __LINE__), lhs, expr)

/// For our own mistakes only, never for anything the kernel, network, file or user can cause.
#define FLEET_ASSERT(condition)                                                        \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::fprintf(stderr, "fleet: %s:%d: assertion failed: %s\n", __FILE__, __LINE__, \
                   #condition);                                                        \
      std::abort();                                                                    \
    }                                                                                  \
  } while (false)
