update runner set left_behind = 'attempt 00000000-0000-7000-8000-000000000001: process 4711',
  rooms = '{"memory": 4294967296, "processes": 4096, "processors": null, "file": null, "by_kernel": true, "network": "none", "agent_network": "open", "may_be_left_out": false}'
  where id = '00000000-0000-7000-8000-000000000050';
