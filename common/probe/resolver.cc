#include "common/probe/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::probe {
namespace {

constexpr size_t kAddressesMax = 16;  // of one name

/// When /etc/resolv.conf was last written.
int64_t ConfigurationAge() {
  struct stat status = {};
  if (::stat("/etc/resolv.conf", &status) != 0) return 0;
  return status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
}

absl::Status ToStatus(int code, const std::string& host) {
  switch (code) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
      return absl::NotFoundError(absl::StrCat("DNS: no address for ", Quote(host)));
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED:
      return absl::UnavailableError(absl::StrCat("DNS: no name server answers for ", Quote(host)));
    default:
      return absl::UnavailableError(
          absl::StrCat("DNS: ", OneLine(::ares_strerror(code)), ": ", Quote(host)));
  }
}

std::vector<std::string> AddressTexts(const ares_addrinfo* found) {
  std::vector<std::string> texts;
  for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
    char text[INET6_ADDRSTRLEN] = {};
    const void* bytes = nullptr;
    if (node->ai_family == AF_INET) {
      bytes = &reinterpret_cast<const sockaddr_in*>(node->ai_addr)->sin_addr;
    } else if (node->ai_family == AF_INET6) {
      bytes = &reinterpret_cast<const sockaddr_in6*>(node->ai_addr)->sin6_addr;
    } else {
      continue;
    }
    if (::inet_ntop(node->ai_family, bytes, text, sizeof(text)) == nullptr) continue;
    if (texts.size() < kAddressesMax) texts.emplace_back(text);
  }
  return texts;
}

class AresResolver final : public Resolver {
 public:
  explicit AresResolver(Loop& loop) : loop_(loop) {
    FLEET_ASSERT(::ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
  }
  ~AresResolver() override {
    ending_ = true;
    Close();
    ::ares_library_cleanup();
  }

  void Resolve(const std::string& host, Done done) override {
    if (FamilyOf(host) != IpFamily::kAny) return done(std::vector<std::string>{host});
    if (!Open()) return done(absl::UnavailableError("DNS: cannot read /etc/resolv.conf"));
    auto query = std::make_unique<Query>(Query{this, host, std::move(done)});
    ares_addrinfo_hints hints = {};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ::ares_getaddrinfo(channel_, host.c_str(), nullptr, &hints, &AresResolver::OnAnswer,
                       query.release());
    SetTimer();
  }

 private:
  struct Query {
    AresResolver* resolver;
    std::string host;
    Done done;
  };

  static void OnAnswer(void* pointer, int code, int, ares_addrinfo* found) {
    const std::unique_ptr<Query> query(static_cast<Query*>(pointer));
    std::vector<std::string> addresses;
    if (found != nullptr) {
      addresses = AddressTexts(found);
      ::ares_freeaddrinfo(found);
    }
    if (query->resolver->ending_) return;
    if (code == ARES_SUCCESS && addresses.empty()) code = ARES_ENODATA;
    if (code != ARES_SUCCESS) return query->done(ToStatus(code, query->host));
    query->done(std::move(addresses));
  }

  static void OnSocket(void* self, ares_socket_t fd, int readable, int writable) {
    auto* resolver = static_cast<AresResolver*>(self);
    if (readable == 0 && writable == 0) {
      std::erase(resolver->sockets_, fd);
      return resolver->loop_.Unwatch(fd);
    }
    const uint32_t events =
        (readable != 0 ? uint32_t{EPOLLIN} : 0U) | (writable != 0 ? uint32_t{EPOLLOUT} : 0U);
    std::erase(resolver->sockets_, fd);
    resolver->sockets_.push_back(fd);
    resolver->loop_.Watch(fd, events, [resolver, fd](uint32_t got) {
      const bool failed = (got & (EPOLLERR | EPOLLHUP)) != 0;
      resolver->Process(failed || (got & EPOLLIN) != 0 ? fd : ARES_SOCKET_BAD,
                        (got & EPOLLOUT) != 0 ? fd : ARES_SOCKET_BAD);
    });
  }

  /// Reads the configuration when there is another and nobody waits for an answer by the old one.
  bool Open() {
    const int64_t age = ConfigurationAge();
    const bool busy = processing_ || !sockets_.empty();
    if (channel_ != nullptr && (age == age_ || busy)) return true;
    Close();
    ares_options options = {};
    options.sock_state_cb = &AresResolver::OnSocket;
    options.sock_state_cb_data = this;
    if (::ares_init_options(&channel_, &options, ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS) {
      channel_ = nullptr;
      return false;
    }
    age_ = age;
    return true;
  }

  void Close() {
    if (timer_.has_value()) loop_.Cancel(*timer_);
    timer_.reset();
    if (channel_ != nullptr) ::ares_destroy(channel_);
    channel_ = nullptr;
  }

  void SetTimer() {
    if (timer_.has_value()) loop_.Cancel(*timer_);
    timer_.reset();
    timeval wait = {};
    if (channel_ == nullptr || ::ares_timeout(channel_, nullptr, &wait) == nullptr) return;
    timer_ = loop_.After(absl::DurationFromTimeval(wait), [this] {
      timer_.reset();
      Process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    });
  }

  void Process(int readable, int writable) {
    processing_ = true;
    ::ares_process_fd(channel_, readable, writable);
    processing_ = false;
    SetTimer();
  }

  Loop& loop_;
  ares_channel channel_ = nullptr;
  int64_t age_ = 0;
  bool ending_ = false;
  bool processing_ = false;  // the library is calling us
  std::vector<int> sockets_;
  std::optional<Loop::TimerId> timer_;
};

}  // namespace

std::unique_ptr<Resolver> Resolver::Create(Loop& loop) {
  return std::make_unique<AresResolver>(loop);
}

std::vector<std::string> ChooseAddresses(std::vector<std::string> addresses, IpFamily family,
                                         bool fallback) {
  if (family == IpFamily::kAny || addresses.empty()) return addresses;
  std::vector<std::string> chosen;
  for (const std::string& address : addresses) {
    if (FamilyOf(address) == family) chosen.push_back(address);
  }
  return chosen.empty() && fallback ? addresses : chosen;
}

}  // namespace fleet::probe
