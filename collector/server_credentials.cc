#include "collector/server_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/server_credentials.h>

#include "collector/grpc_peer.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

/// The path of the call among its metadata.
absl::string_view PathOf(const grpc_metadata* metadata, size_t count) {
  const auto text = [](const grpc_slice& slice) {
    return absl::string_view(reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)),
                             GRPC_SLICE_LENGTH(slice));
  };
  for (size_t i = 0; i < count; ++i) {
    if (text(metadata[i].key) == ":path") return text(metadata[i].value);
  }
  return {};
}

/// By the C API, since C++ has neither certificates that are fetched at each handshake, nor a judge
/// of calls beside them.
class Credentials final : public grpc::ServerCredentials {
 public:
  Credentials(const ServerTls& tls, Gate& gate) : tls_(tls), gate_(gate) {
    credentials_ = ::grpc_ssl_server_credentials_create_with_options(
        ::grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY, &Credentials::Fetch, this));
    FLEET_ASSERT(credentials_ != nullptr);
    ::grpc_server_credentials_set_auth_metadata_processor(
        credentials_, {&Credentials::Judge, [](void*) {}, &gate_});
  }
  ~Credentials() override { ::grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {
    FLEET_ASSERT(false);  // the gate is it
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return ::grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  /// Called at each new connection, by one thread at a time.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto* credentials = static_cast<Credentials*>(self);
    std::shared_ptr<const ServerTls::Current> current = credentials->tls_.current();
    if (current == credentials->presented_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {current->key.c_str(), current->chain.c_str()};
    // Copied by the library, which insists on roots. They become the hint at whose certificates are
    // asked for; nothing is verified by them.
    *config = ::grpc_ssl_server_certificate_config_create(current->ca.c_str(), &pair, 1);
    credentials->presented_ = std::move(current);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  static void Judge(void* gate, grpc_auth_context* context, const grpc_metadata* metadata,
                    size_t count, grpc_process_auth_metadata_done_cb done, void* user_data) {
    const absl::StatusOr<Identity> admitted =
        static_cast<Gate*>(gate)->Admit(PeerOf(context), PathOf(metadata, count));
    if (admitted.ok()) {
      done(user_data, nullptr, 0, nullptr, 0, GRPC_STATUS_OK, nullptr);
      return;
    }
    const std::string message(admitted.status().message());
    done(user_data, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(admitted.status().code()),
         message.c_str());
  }

  const ServerTls& tls_;
  Gate& gate_;
  std::shared_ptr<const ServerTls::Current> presented_;
  grpc_server_credentials* credentials_ = nullptr;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> GateCredentials(const ServerTls& tls, Gate& gate) {
  return std::make_shared<Credentials>(tls, gate);
}

}  // namespace fleet::collector
