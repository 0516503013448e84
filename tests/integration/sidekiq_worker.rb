# Jobs for sidekiq_test: `ruby sidekiq_worker.rb` enqueues some, `sidekiq -r` serves them.
require "sidekiq"

class QuickWorker
  include Sidekiq::Worker
  def perform(_secret) = nil
end

class SlowWorker
  include Sidekiq::Worker
  def perform(_secret) = sleep(60)
end

if $PROGRAM_NAME == __FILE__
  3.times { QuickWorker.set(queue: "default").perform_async("SECRET") }
  SlowWorker.set(queue: "default").perform_async("SECRET")
  2.times { QuickWorker.set(queue: "nobody_listens").perform_async("SECRET") }
  QuickWorker.perform_in(3600, "SECRET")
end
