"""The alarms on what only AWS knows: what is measured, from which value on it is wrong, and for whom.

A module for each page in docs/runbooks/. Recommended alarms:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
"""
